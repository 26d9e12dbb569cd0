"""A stand-in for Hermes Agent of today: the gateway of default serves every profile that is neither parked nor standalone, and says so in
its gateway_state.json, as that of 0.22.2 does. Looks several times a second instead of every 30 seconds. tests/peer compares its claims with
the real one."""

import json

from support.testbed import STAND_IN

# What the gateway of default does besides, by its file in /run/bed: `silent` writes nothing, `deaf` knows no gateway.parked, as releases
# before 0.21.5, `alone` does not multiplex for another reason than that there was nobody to serve.
HOST = r"""#!/bin/sh
if [ "$1" = -p ] || [ "$1" = dashboard ]; then
    exec /run/bed/bin/hermes-own "$@"
fi
read -r what code 2>/dev/null < /run/bed/do.default || what=sleep
[ "$what" = exit ] && exit "$code"
trap "exit 0" TERM
home=/opt/data state=/opt/data/gateway_state.json
read -r stat < /proc/$$/stat
start=$(echo "${stat##*) }" | cut -d' ' -f20)
names() {
    for directory in "$home"/profiles/*/; do
        [ -e "$directory/SOUL.md" ] || continue
        grep -qs "standalone: true" "$directory/config.yaml" && continue
        [ "$1" = served ] && [ "$what" != deaf ] && [ -e "$directory/gateway.parked" ] && continue
        directory=${directory%/}
        printf ', "%s"' "${directory##*/}"
    done
}
publish() {
    desired=$(sed -n 's/.*\("desired_state": "[a-z]*"\).*/\1, /p' "$state" 2>/dev/null)
    printf '{%s"gateway_state": "running", "pid": %s, "start_time": %s, "served_profiles": %s, "multiplex_standalone_reason": %s}\n' \
        "$desired" $$ "$start" "$1" "$2" > "$state.host"
    mv "$state.host" "$state"
}
echo "started default"
if [ "$what" = silent ]; then
    :
elif [ "$what" = alone ]; then
    publish "[]" '"two profiles have one bot token"'
elif [ -z "$(names all)" ]; then
    publish "[]" '"only one profile exists (nothing to multiplex)"'
else
    what=${what:-sleep} last=
    while :; do
        served="[\"default\"$(names served)]"
        [ "$served" = "$last" ] || publish "$served" null
        last=$served
        sleep 0.1 & wait $!
    done
fi
while :; do sleep 60 & wait $!; done
"""


def install(bed):
    """Makes the stand-in for the other gateways, which this one runs."""
    own = bed.path("/run/bed/bin/hermes-own")
    own.write_text(STAND_IN)
    own.chmod(0o755)


def served(bed):
    """Returns the profiles that the gateway of default says it serves; None if it says nothing."""
    try:
        return json.loads(bed.path("/opt/data/gateway_state.json").read_text()).get("served_profiles")
    except (FileNotFoundError, ValueError):
        return None
