#!/command/with-contenv sh
# shellcheck shell=sh
# The container's command. `gateway run` is left to the supervision.
drop=
[ "$(id -u)" != 0 ] || drop="s6-setuidgid hermes"
case $1 in
    ''|gateway) exec $drop sleep 1000000 ;;
    dashboard|serve|gui|desktop) exec $drop hermes "$@" ;;
    *) exec $drop "$@" ;;
esac
