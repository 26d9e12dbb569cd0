"""The checks of a soak: what is promised after each calm, and after each boot. Each is a function that yields what is wrong."""

import json
import os
import re
import stat

from support.program import HERMES
from support.soak_actions import COMMANDS, LIMIT, LOOKS, ORDERS, TORN
from support.soak_container import MARKER, RESTART
from support.soak_learning import DRAIN, expected_code
from support.testbed import half_made

STAGING = (
    ".gateway_state.json.tmp",
    ".gateway-planned-stop.json.tmp",
    ".hermes-init-env.tmp",
    ".hermes-init-restart.json.tmp",
    ".hermes-init-deaths.json.tmp",
)
EXITS = (0, 1)


def everything_becomes_calm(seen):
    """A gateway that is on its way up or down arrives."""
    if not seen.is_calm:
        for name, slot in seen.slots.items():
            if slot.is_up != slot.is_wanted:
                yield f"{name} is {'up' if slot.is_up else 'down'} for long and wanted {'up' if slot.is_wanted else 'down'}"
            elif slot.is_up:
                yield f"{name}: process {slot.pid} is no settled gateway; planned stop of {seen.container.marker(name)}"


def no_command_hangs(seen):
    for action, outcome in seen.pairs:
        if action.kind in COMMANDS and outcome.code is None:
            yield f"{action}: still runs after {LIMIT} seconds"


def exit_codes_are_documented(seen):
    """No system call fails in a soak, so 111 is none of them, but for a supervisor that is killed at that moment."""
    for action, outcome in seen.pairs:
        is_cut = outcome.code == 111 and any(other.kind == "kill supervisor" and other.name == action.name for other in seen.actions)
        if action.kind in COMMANDS and not outcome.is_killed and not is_cut and outcome.code is not None and outcome.code not in EXITS:
            yield f"{action}: {outcome}"


def commands_do_what_they_can(seen):
    """A command that is alone with its profile ends as the model says."""
    for action, outcome in seen.pairs:
        if action.kind in COMMANDS and outcome.code in EXITS and not outcome.is_killed:
            expected = expected_code(seen, action)
            if expected and outcome.code not in expected:
                yield f"{action}: not {sorted(expected)} but {outcome}"


def nothing_panics_or_guesses(seen):
    for action, outcome in seen.pairs:
        for word in (b"panicked", b"is there a dangling symlink"):
            if word in outcome.stderr:
                yield f"{action}: {outcome}"


def nobody_waits_for_what_is_gone(seen):
    """Beside an `unregister` of the same name, an order ends soon after it."""
    for name in {action.name for action in seen.actions if action.kind == "unregister"} - set(seen.slots):
        mine = [pair for pair in seen.of(name) if not pair[1].is_killed]
        gone = max((outcome.seconds for action, outcome in mine if action.kind == "unregister"), default=LIMIT)
        for action, outcome in mine:
            if action.kind in ORDERS and outcome.seconds > gone + DRAIN:
                yield f"{action}: {outcome}"


def an_order_is_carried_out(seen):
    """One order that exited 0: the volume has it as a word, and the supervisor as what is wanted."""
    for name, word in seen.asked.items():
        slot = seen.slots.get(name)
        if seen.volume.word(name) != word and name in seen.volume.names():
            yield f"{name}: {word} was asked for, and desired_state is {seen.volume.word(name)}"
        may_be_down = word == "running" and seen.ends_for_good(name)
        if (
            slot
            and slot.is_supervised
            and (slot.is_up, slot.is_wanted) != (word == "running",) * 2
            and not (may_be_down and not slot.is_wanted)
        ):
            yield f"{name}: {word} was asked for, and {shown(slot)}"
        if word == "running" and (slot is None or not slot.is_supervised):
            yield f"{name}: running was asked for, and no slot is supervised"


def an_order_for_one_of_default_is_carried_out(seen):
    """The volume has the word and the marker, and where the gateway of default serves others, it has followed."""
    for name, word in seen.asked_of_default.items():
        volume = seen.volume
        if (volume.word(name), volume.is_parked(name)) != (word, word == "stopped"):
            yield f"{name}: {word} was asked for, desired_state is {volume.word(name)}, and it is {'' if volume.is_parked(name) else 'not '}parked"
        host = volume.host(seen.slots)
        if isinstance(host, list) and (name in host) != (word == "running"):
            yield f"{name}: {word} was asked for, and the gateway of default serves {host}"
    for name in seen.names:
        mine = [action for action in seen.actions if action.name == name and action.kind not in LOOKS]
        is_ordered = all(action.kind in ORDERS for action in mine) and {action.kind for action in mine} & {"start", "stop"}
        if is_ordered and seen.is_of_default(name) and not seen.is_turned(name) and not any(o.is_killed for _, o in seen.of(name)):
            word, is_parked = seen.volume.word(name), seen.volume.is_parked(name)
            if is_parked != (word == "stopped"):
                yield f"{name}: desired_state is {word}, and it is {'' if is_parked else 'not '}parked"


def nothing_starts_beside_default(seen):
    """Whatever starts a gateway of its own for a profile that default is to serve, it ends."""
    for name, slot in seen.slots.items():
        if not slot.is_up or name not in seen.volume.names() or seen.is_turned(name):
            continue
        old = seen.before.get(name)
        if name in seen.refused and seen.volume.is_refused(name) and not (old and old.pid == slot.pid):
            yield f"{name}: default is to serve it, and {shown(slot)}"


def nobody_has_two_gateways(seen):
    """Unless both were started while they had to be: config.yaml has been changed since, or what shows the topology."""
    host = seen.volume.host(seen.slots)
    for name, slot in seen.slots.items():
        if slot.is_up and isinstance(host, list) and name in host and name != "default" and not seen.model.known(name).has_own:
            yield f"{name} has a gateway of its own, and default serves {host}"


def word_and_order_agree(seen):
    """Whatever came last, the word on the volume is what the supervisor has been told."""
    for name, known in seen.model.profiles.items():
        slot, word = seen.slots.get(name), seen.volume.word(name)
        if not known.is_tied or not slot or not slot.is_supervised or name not in seen.volume.names() or name in seen.asked:
            continue
        if slot.is_wanted != (word == "running") and not (word == "running" and seen.ends_for_good(name)):
            known.is_tied = False
            yield f"{name}: desired_state is {word}, and {shown(slot)}"


def a_killed_command_leaves_before_or_after(seen):
    for name, words in seen.either.items():
        if seen.volume.word(name) not in words and name in seen.volume.names():
            yield f"{name}: desired_state is {seen.volume.word(name)}, and not one of {sorted(map(str, words))}"


def down_follows_the_wish(seen):
    for name, known in seen.model.profiles.items():
        slot = seen.slots.get(name)
        if known.has_down is not None and slot and slot.is_supervised and slot.starts == known.has_down:
            yield f"{name}: the slot has {'no ' if slot.starts else ''}down, and desired_state is {seen.volume.word(name)}"
            known.has_down = None


def state_files_are_whole(seen):
    for name in seen.volume.names():
        text = seen.volume.text(name)
        if text is not None and seen.volume.state(name) is None and text not in TORN:
            yield f"{name}: gateway_state.json is {text!r}"


def members_are_kept(seen):
    """No member of a state file is lost but by an edit."""
    for name in seen.volume.names():
        known, state = seen.model.known(name), seen.volume.state(name)
        token = (state or {}).get("kept")
        if token not in known.tokens:
            yield f"{name}: kept is {token}, and not one of {sorted(map(str, known.tokens))}"
        # A torn file is set aside, and its members with it; so is one that is removed.
        known.tokens = {token}


def variables_are_kept(seen):
    for name, slot in seen.slots.items():
        expected = seen.model.known(name).variable
        if expected is None or not slot.is_supervised:
            continue
        path = seen.container.bed.path(f"/run/service/gateway-{name}/env/KEY")
        found = path.read_text().rstrip("\n") if path.exists() else ""
        if found != expected:
            yield f"{name}: the variable KEY is {found!r}, and not {expected!r}"


def nothing_is_left_on_the_volume(seen):
    for name in seen.volume.names():
        if seen.model.known(name).may_have_leftovers:
            continue
        folder, slot = seen.container.directory(name), seen.slots.get(name)
        for file in STAGING:
            if (folder / file).exists():
                yield f"{name}: {file} is left"
        for file in (MARKER, RESTART):
            pid = seen.container.marker(name, file)
            if (folder / file).exists() and not (slot and slot.is_up and slot.pid == pid):
                yield f"{name}: {file} of {pid} is left, and {shown(slot)}"


def nothing_is_left_in_the_scan_directory(seen):
    if not seen.model.may_have_leftovers:
        for entry in sorted(os.listdir(seen.container.bed.path("/run/service"))):
            if entry.startswith(".") and entry not in (".s6-svscan", ".hermes-init.lock"):
                yield f"{entry} is left in the scan directory"


def slots_are_whole(seen):
    yield from half_made(seen.container.bed.path("/run/service"))


def each_slot_has_one_supervisor_and_one_gateway(seen):
    """What a person does about a gateway whose supervisor was killed and stays down is done here: it is ended."""
    running, supervised = seen.container.gateways(), sum(slot.is_supervised for slot in seen.slots.values())
    for name, pids in running.items():
        slot = seen.slots.get(name)
        was_killed = any(action.kind == "kill supervisor" for action in seen.actions)
        if len(pids) > 1 and was_killed and seen.passes():
            # A pass in that second has taken the gateway's own record of its process away, which the next one looks for.
            seen.container.end([pid for pid in pids if slot is None or pid != slot.pid])
        elif len(pids) > 1:
            yield f"{name} has the gateways {pids}"
        elif slot is None or not slot.is_up:
            if was_killed:
                seen.container.end(pids)
            else:
                yield f"{name} has the gateway {pids}, and {shown(slot)}"
    if not seen.model.may_have_leftovers and len(seen.container.bed.supervisors()) != 2 * supervised:
        yield f"{len(seen.container.bed.supervisors())} supervisors for {supervised} slots"
    for name, slot in seen.slots.items():
        if slot.is_supervised and not slot.has_logger:
            yield f"{name}: its logger is down"


def owners_and_modes_are_as_promised(seen):
    for folder, directories, files in os.walk(seen.container.home):
        for path in (os.path.join(folder, entry) for entry in (*directories, *files)):
            try:
                meta = os.lstat(path)
            except FileNotFoundError:
                continue
            name = os.path.relpath(path, seen.container.home)
            is_leftover = name.endswith(".tmp") or name.startswith("logs/container-boot.log")
            if (meta.st_uid, meta.st_gid) != (HERMES, HERMES) and not (is_leftover and seen.model.may_have_leftovers):
                # A command of that profile that was killed as root may have left it.
                if name.endswith(".tmp") and any(known.may_have_leftovers for known in seen.model.profiles.values()):
                    continue
                yield f"{name} belongs to {meta.st_uid}:{meta.st_gid}"
    if not seen.model.may_have_leftovers:
        yield from (of_sealed if seen.container.setup.is_sealed else of_delegated)(seen.container.bed.path("/run/service"), seen.slots)


def parts(service, slots):
    """Yields the paths of slots with what lstat says of them."""
    for name in slots:
        for folder, directories, files in os.walk(service / f"gateway-{name}"):
            for path in (folder, *(os.path.join(folder, entry) for entry in (*directories, *files))):
                try:
                    yield os.path.relpath(path, service), os.lstat(path)
                except FileNotFoundError:
                    continue


def of_sealed(service, slots):
    for path, meta in parts(service, slots):
        base, mode, owner = os.path.basename(path), stat.S_IMODE(meta.st_mode), (meta.st_uid, meta.st_gid)
        if base == "event":
            wrong = (mode, owner) != (0o700, (0, 0))
        elif base == "control":
            wrong = (mode, owner) != (0o620, (0, HERMES))
        elif base == "supervise":
            wrong = (mode, owner) != (0o710, (0, HERMES))
        elif re.search(r"/env(/|$)", path):
            wrong = owner != (0, HERMES)
        else:
            wrong = owner != (0, 0) or mode & 0o022
        if wrong:
            yield f"{path} is {mode:o} of {owner}"


def of_delegated(service, slots):
    for path, meta in parts(service, slots):
        base, mode, owner = os.path.basename(path), stat.S_IMODE(meta.st_mode), (meta.st_uid, meta.st_gid)
        # s6-supervise writes these as root.
        if base in ("status", "lock", "death_tally") or base.startswith(("status", "death_tally")):
            continue
        modes = {"event": 0o3730, "control": 0o660, "supervise": 0o755}
        if owner != (HERMES, HERMES) or mode != modes.get(base, mode):
            yield f"{path} is {mode:o} of {owner}"


def rows(seen, command):
    done = seen.container.bed.init(command, "--json", uid=seen.uid, code=None, timeout=LIMIT)
    return done, {row["profile"]: row for row in map(json.loads, done.stdout.splitlines()) if row["kind"] == "gateway"}


def status_says_what_s6_says(seen):
    done, found = rows(seen, "status")
    if done.returncode != 0:
        yield f"status: {done}"
    for name in sorted({*seen.slots, *seen.volume.names()}):
        row, slot = found.get(name), seen.slots.get(name)
        if row is None:
            # `default` is on every volume: it has a row once it has been used, or has a slot.
            if name != "default" or slot is not None or seen.words.get(name) is not None:
                yield f"status has no row of {name}"
            continue
        expected = (
            ["up", "restarting"]
            if slot and slot.is_up
            else hosted(seen, name)
            if name in seen.volume.names() and seen.volume.is_of_default(name)
            else ["no slot"]
            if slot is None
            else ["unsupervised"]
            if not slot.is_supervised
            else ["down"]
        )
        if row["state"] == "served" and re.search(f" start {name}$", row["note"] or ""):
            yield f"status says of {name}, which is served, {row['note']}"
        if row["state"] not in expected or (row["pid"] or -1) != (slot.pid if slot else -1):
            yield f"status says of {name} {row['state']}, {row['pid']}, and not {' or '.join(expected)}: {shown(slot)}"
        wanted = seen.volume.next_boot(name) if name in seen.volume.names() else None
        if row["wanted"] != wanted:
            yield f"status says that the next boot of {name} is {row['wanted']}, and the volume {wanted}"


def hosted(seen, name):
    """Returns the states that a profile without a gateway of its own can have: who is served is what the gateway of default says."""
    host = seen.volume.host(seen.slots)
    not_served = "parked" if seen.volume.is_parked(name) else "not served"
    if not isinstance(host, list) or name not in host:
        return [not_served]
    # One that keeps dying serves nobody.
    return ["served", not_served] if seen.container.deaths("default") > 1 else ["served"]


def health_says_what_is_wrong(seen):
    """In the clear cases: all that the next boot would start is up, or something of it is not."""
    done, found = rows(seen, "health")
    names = seen.volume.names()
    torn = [name for name in names if seen.volume.is_torn(name)]
    wanted = [name for name in names if seen.volume.next_boot(name) == "up"]
    down = [name for name in wanted if not (slot := seen.slots.get(name)) or not slot.is_up]
    unserved = [
        name for name in names if seen.volume.needs_default(name) and not is_up(seen, name) and hosted(seen, name) == ["not served"]
    ]
    twice = [name for name in names if seen.volume.is_of_default(name) and is_up(seen, name) and "served" in hosted(seen, name)]
    for name in (*unserved, *twice):
        if done.returncode == 0 or name not in found:
            yield f"health does not name {name}, {'which default does not serve' if name in unserved else 'which two gateways serve'}: {done}"
    if done.returncode not in EXITS:
        yield f"health: {done}"
    for name in down:
        if done.returncode == 0 or name not in found:
            yield f"health does not name {name}, which should be up, and {shown(seen.slots.get(name))}: {done}"
    # Two deaths within three minutes are a fault that passes.
    if (
        not down
        and not torn
        and not unserved
        and not twice
        and done.returncode != 0
        and all(seen.container.deaths(name) < 2 for name in seen.slots)
    ):
        yield f"health: everything is as it should be, and {done}"


def health_says_what_is_torn(seen):
    """Of a torn state file nobody knows whether the gateway should be up. Where it is not, that is a fault."""
    volume = seen.volume
    names = [name for name in volume.names() if volume.is_torn(name) and volume.next_boot(name) == "down" and not volume.is_parked(name)]
    dark = [name for name in names if (slot := seen.slots.get(name)) and not slot.is_up]
    if dark:
        done, found = rows(seen, "health")
        for name in dark:
            if done.returncode == 0 or name not in found:
                yield f"health does not name {name}, whose state file is torn, and {shown(seen.slots[name])}: {done}"


def no_pass_has_failed(seen):
    path = seen.container.home / "logs/container-boot.log"
    lines = path.read_text().splitlines() if path.exists() else []
    for line in [line for line in lines if " action=failed" in line][:1]:
        if not getattr(seen.model, "has_said", False):
            seen.model.has_said = True
            yield f"the boot log has: {line}"


def a_boot_does_what_the_volume_says(seen):
    """`seen` is a boot; what the volume said before it is in `asked`: up or not."""
    for action, done in zip(("fix-perms", "reconcile"), seen.outcomes, strict=True):
        if done.returncode != 0:
            yield f"{action}: {done}"
    for name, starts in seen.asked.items():
        slot = seen.slots.get(name)
        if slot is None or not slot.is_supervised:
            yield f"{name} has no slot that is supervised"
        elif slot.is_up != starts and not (starts and seen.ends_for_good(name)):
            yield f"{name} is to be {'up' if starts else 'down'}, and {shown(slot)}"
    host = seen.volume.host(seen.slots)
    for name in seen.names:
        if seen.volume.is_parked(name) != (name in seen.parked):
            yield f"{name} was {'' if name in seen.parked else 'not '}parked before the boot"
        if name in seen.parked & seen.of_default and isinstance(host, list) and name in host:
            yield f"{name} is parked, and default serves {host}"
    for name in seen.slots:
        if name not in seen.asked:
            yield f"{name} has a slot, and no profile"


def a_second_pass_changes_nothing(seen):
    done = seen.container.bed.init("reconcile", "--json", code=None, timeout=LIMIT)
    for row in map(json.loads, done.stdout.splitlines()):
        # The state of a gateway that keeps dying, and of a first boot, is written by others.
        if row["changed"]:
            yield f"a second pass changes {row['profile']}"


def is_up(seen, name):
    slot = seen.slots.get(name)
    return bool(slot and slot.is_up)


def shown(slot):
    if slot is None:
        return "it has no slot"
    if not slot.is_supervised:
        return "its slot is not supervised"
    return f"s6-svstat says {'up' if slot.is_up else 'down'}, wanted {'up' if slot.is_wanted else 'down'}"


OF_A_STEP = (
    everything_becomes_calm,
    no_command_hangs,
    exit_codes_are_documented,
    commands_do_what_they_can,
    nothing_panics_or_guesses,
    nobody_waits_for_what_is_gone,
    an_order_is_carried_out,
    an_order_for_one_of_default_is_carried_out,
    nothing_starts_beside_default,
    nobody_has_two_gateways,
    a_killed_command_leaves_before_or_after,
)
OF_EVERY_CALM = (
    word_and_order_agree,
    down_follows_the_wish,
    state_files_are_whole,
    members_are_kept,
    variables_are_kept,
    nothing_is_left_on_the_volume,
    nothing_is_left_in_the_scan_directory,
    slots_are_whole,
    each_slot_has_one_supervisor_and_one_gateway,
    owners_and_modes_are_as_promised,
    status_says_what_s6_says,
    health_says_what_is_wrong,
    health_says_what_is_torn,
    no_pass_has_failed,
)
OF_A_BOOT = (everything_becomes_calm, a_boot_does_what_the_volume_says, a_second_pass_changes_nothing)
