"""What a step of a soak teaches about each profile, and what it makes to be expected."""

from dataclasses import dataclass, field

from support.soak_actions import JOLTS, LOOKS, OF_A_HOST, ORDERS
from support.soak_model import Model, Volume

ASKED = {"start": "running", "restart": "running", "stop": "stopped"}
# What is no command of ours and changes what is wanted of a gateway, or its slot.
DISTURBING = ("svc -u", "svc -d", "edit", "register", "unregister", "create", "delete", "kill supervisor", *OF_A_HOST)
# The longest end of a gateway, with the time that a busy machine adds, in seconds.
DRAIN = 6


@dataclass
class Seen:
    """A step, what was before it, and what is after it."""

    container: object
    volume: Volume
    model: Model
    actions: list
    # Before the step: slots, recorded words, profiles.
    before: dict
    words: dict
    names: list
    # Those that the gateway of default is to serve, those whose own gateway is refused, those that are parked; what it is to others.
    of_default: set
    refused: set
    parked: set
    host: object
    outcomes: list = field(default_factory=list)
    slots: dict = field(default_factory=dict)
    is_calm: bool = True
    # The uid of those who look.
    uid: int = 0
    # What one order, alone, makes to be expected; what a killed one leaves.
    asked: dict = field(default_factory=dict)
    either: dict = field(default_factory=dict)
    # What one order, alone, makes to be expected of a profile that the gateway of default is to serve.
    asked_of_default: dict = field(default_factory=dict)

    @property
    def pairs(self):
        return list(zip(self.actions, self.outcomes, strict=True))

    def of(self, name):
        return [(action, outcome) for action, outcome in self.pairs if action.name == name]

    def is_permitted(self, action):
        """Returns whether the caller may change slots."""
        return action.uid == 0 or not self.container.setup.is_sealed

    def passes(self):
        return [(action, outcome) for action, outcome in self.pairs if action.kind == "reconcile"]

    def changes(self, name=None):
        """Returns whether something of the step, or only of it what concerns a profile, changes what a pass reads."""
        kinds = (*ORDERS, "edit", "create", "delete", *OF_A_HOST)
        return any(action.kind in kinds and name in (None, action.name) for action in self.actions)

    def may_serve_others_now(self):
        """Returns whether the step may have changed which profiles the gateway of default is to serve. Where that is shown by what it
        writes and by what others leave, much can."""
        environment, serves = self.container.setup.environment, self.container.setup.serves
        if environment["HERMES_INIT_TOPOLOGY"] != "auto" or self.volume.is_multiplexing():
            return False
        kinds = ("edit", "create", "delete", *OF_A_HOST)
        return any(action.kind in (*kinds, *(DISTURBING if serves else ())) for action in self.actions) or bool(
            serves and len(self.actions) > 1 and any(action.kind in (*ORDERS, *JOLTS) for action in self.actions)
        )

    def is_turned(self, name):
        """Returns whether the step may have changed whether it is default's to serve a profile."""
        kinds = ("standalone", "create", "delete")
        return self.may_serve_others_now() or any(action.kind in kinds for action, _ in self.of(name))

    def is_default_disturbed(self):
        """Returns whether something of the step may have stopped, started or hidden the gateway of default."""
        return bool(self.passes()) or self.dies_soon("default") or any(action.kind not in LOOKS for action, _ in self.of("default"))

    def is_of_default(self, name):
        """Returns whether it is default's to serve a profile: before the step, and after it."""
        return name in self.of_default and name in self.volume.names() and self.volume.is_of_default(name)

    def ends_for_good(self, name):
        return self.container.fates.get(name, "").startswith("end")

    def dies_soon(self, name):
        return self.container.fates.get(name, "").split(" ")[0] in ("end", "crash")

    def everybody(self):
        return sorted({*self.volume.names(), *self.slots, *self.model.profiles})


def learn(seen):
    """Takes what a step has done into the model."""
    for action, outcome in seen.passes():
        if outcome.is_killed:
            seen.model.may_have_leftovers = True
            for known in seen.model.profiles.values():
                known.may_have_leftovers = True
        elif b"it is supervised: to end its supervisors" in outcome.stderr:
            # A pass leaves the supervisors of an unregistration that was killed to the next one.
            seen.model.may_have_leftovers = True
        elif outcome.code == 0 and seen.is_permitted(action) and not any(other.is_killed for other in seen.outcomes):
            seen.model.may_have_leftovers = False
    if any(outcome.is_killed and action.kind in ("register", "unregister", "start") for action, outcome in seen.pairs):
        seen.model.may_have_leftovers = True
    for name in seen.everybody():
        learn_leftovers(seen, name)
        learn_variable(seen, name)
        learn_profile(seen, name)


def learn_leftovers(seen, name):
    known, mine = seen.model.known(name), seen.of(name)
    # Who does not wait for the end of a gateway leaves the marker for it, which one that drains already does not read.
    is_left = any(action.kind in ORDERS and outcome.code != 0 for action, outcome in mine)
    if is_left or any(outcome.is_killed for _, outcome in (*mine, *seen.passes())):
        known.may_have_leftovers = True
    elif any(outcome.code == 0 and action.kind in (*ORDERS, "reconcile") for action, outcome in (*mine, *seen.passes())):
        known.may_have_leftovers = False


def learn_variable(seen, name):
    """A registration with a variable gives it to the slot, and to each that is made anew until `unregister`."""
    known, mine = (
        seen.model.known(name),
        [pair for pair in seen.of(name) if pair[0].kind not in (*LOOKS, *JOLTS, "edit", "kill supervisor")],
    )
    kinds = [action.kind for action, _ in mine if action.kind in ("register", "unregister", "create", "delete")]
    if not kinds:
        return
    action, outcome = mine[0]
    if len(mine) > 1 or outcome.is_killed or kinds[0] in ("create", "delete"):
        known.variable = None
    elif kinds == ["unregister"] and outcome.code == 0:
        known.variable = ""
    elif kinds == ["register"] and outcome.code == 0:
        given = [word.partition("=")[2] for word in action.words if word.startswith("KEY=")]
        known.variable = given[0] if given else known.variable


def learn_profile(seen, name):
    known, mine, slot = seen.model.known(name), seen.of(name), seen.slots.get(name)
    kinds = {action.kind for action, _ in mine}
    orders = [(action, outcome) for action, outcome in mine if action.kind in ORDERS]
    passes = seen.passes()
    is_killed = any(outcome.is_killed for _, outcome in (*mine, *passes))
    for action, _ in mine:
        if action.kind in ("edit", "create"):
            text = action.what if action.kind == "edit" else action.what.state
            known.tokens |= {token_of(text)}
    learn_down(seen, known, name, kinds, orders, passes, is_killed)
    learn_own(seen, known, name, slot)
    if name in seen.of_default or (name in seen.volume.names() and seen.volume.is_of_default(name)):
        known.is_tied = False
        if len(orders) == 1 and not kinds & set(DISTURBING) and not seen.is_turned(name):
            learn_of_default(seen, name, *orders[0])
        return
    if not slot or not slot.is_supervised:
        known.is_tied = False
        if not orders:
            return
    if kinds & set(DISTURBING):
        if kinds == {"kill supervisor"} and not passes and known.has_down == (seen.volume.word(name) == "stopped"):
            return
        known.is_tied = False
        return
    if not orders:
        if is_killed and passes:
            known.has_down = None
        return
    if any(outcome.is_killed for _, outcome in orders):
        known.is_tied = False
        if len(orders) == 1:
            seen.either[name] = {seen.words.get(name), ASKED[orders[0][0].kind]}
        return
    if seen.may_serve_others_now() or name not in seen.names:
        known.is_tied = False
        return
    is_obeyed = all(outcome.code == 0 or (outcome.code == 1 and action.waits() is not None) for action, outcome in orders)
    known.is_tied = is_obeyed and slot is not None and slot.is_supervised
    if len(orders) == 1 and orders[0][1].code == 0:
        seen.asked[name] = ASKED[orders[0][0].kind]


def learn_of_default(seen, name, action, outcome):
    """An order for a profile that the gateway of default is to serve. Whether it is up or not, the word and the marker are there."""
    if action.kind == "restart":
        seen.either[name] = {seen.words.get(name)}
    elif outcome.is_killed:
        seen.either[name] = {seen.words.get(name), ASKED[action.kind]}
    else:
        seen.asked_of_default[name] = ASKED[action.kind]


def learn_own(seen, known, name, slot):
    """A gateway that has been started while it had to be may run beside that of default, until it ends."""
    if not slot or not slot.is_up:
        known.has_own = False
    elif name not in seen.refused or seen.is_turned(name):
        known.has_own = True


def learn_down(seen, known, name, kinds, orders, passes, is_killed):
    """Who may write the slot has `down` follow the wish."""
    permitted = [outcome for action, outcome in passes if seen.is_permitted(action)]
    if is_killed or kinds & {"create", "delete", "unregister"} or (orders and passes) or name not in seen.volume.names():
        known.has_down = None
    elif "register" in kinds:
        known.has_down = None
        [*registered] = [(action, outcome) for action, outcome in seen.of(name) if action.kind == "register"]
        if len(registered) == 1 and registered[0][1].code == 0 and not orders and not passes:
            known.has_down = None if seen.is_turned(name) else "--down" in registered[0][0].words or seen.is_of_default(name)
    elif orders:
        given, slot = [action for action, _ in orders], seen.before.get(name)
        if name in seen.of_default or seen.volume.is_of_default(name) or seen.is_turned(name):
            # An order for a profile that default serves is none to its slot, unless that is up.
            is_left = seen.is_of_default(name) and not seen.is_turned(name) and not (slot and slot.is_up)
            known.has_down = True if is_left and known.has_down else None
        elif all(map(seen.is_permitted, given)) and all(outcome.code == 0 for _, outcome in orders) and "edit" not in kinds:
            known.has_down = seen.volume.word(name) == "stopped"
        elif any(map(seen.is_permitted, given)):
            known.has_down = None
    elif permitted:
        is_sure = all(outcome.code == 0 for outcome in permitted) and not (seen.changes() if name == "default" else seen.changes(name))
        known.has_down = (
            seen.volume.next_boot(name) != "up" if is_sure and name in seen.volume.names() and not seen.may_serve_others_now() else None
        )


def token_of(text):
    """Returns the member `kept` of a text; None if it has none."""
    if text is None or '"kept": "' not in text:
        return None
    return text.split('"kept": "')[1].split('"')[0]


def learn_boot(seen):
    """Takes a boot into the model: everything is as the volume says."""
    seen.model.may_have_leftovers = False
    for name in seen.everybody():
        known = seen.model.known(name)
        known.has_own = not (name in seen.volume.names() and seen.volume.is_refused(name))
        is_up = name in seen.volume.names() and seen.volume.next_boot(name) == "up"
        known.is_tied = name in seen.slots and seen.volume.word(name) == ("running" if is_up else "stopped")
        known.has_down = not is_up if name in seen.slots else None
        known.may_have_leftovers = False


def forget(seen, name):
    """Returns to what the checks have reported only once."""
    seen.model.known(name).is_tied = False


def expected_code(seen, action):
    """Returns the exit codes that a command can have, or None where that is not known: alone with its profile, and undisturbed."""
    name, setup = action.name, seen.container.setup
    if action.kind == "reconcile":
        is_sure = seen.is_permitted(action) and not any(other.kind in ("create", "delete", "unregister") for other in seen.actions)
        return {0} if is_sure else None
    if action.kind == "status":
        return {0}
    others = [other for other in seen.actions if other is not action and other.name == name and other.kind not in LOOKS]
    jolts = [other for other in others if other.kind in JOLTS]
    if action.kind not in (*ORDERS, "register", "unregister") or len(others) > len(jolts):
        return None
    if name not in seen.names or seen.may_serve_others_now():
        return None
    slot = seen.before.get(name)
    may_make = seen.is_permitted(action)
    if action.kind == "unregister":
        return ({0} if may_make else {1} if slot else {0, 1}) if not jolts else None
    has_passes = bool(seen.passes())
    if action.kind == "register":
        return None if has_passes else {1} if slot or not may_make else {0}
    waits = action.waits()
    if name in seen.of_default:
        return expected_of_default(seen, action, slot)
    if action.kind == "stop":
        # Whoever may not scan records the wish, and s6-svscan starts what is not down when it scans.
        is_beyond = slot and not slot.is_supervised and not may_make
        return {0, 1} if is_beyond or (waits is not None and waits < DRAIN) else {0}
    if has_passes or (slot and not slot.is_supervised and not may_make):
        return None
    if not slot and (action.kind == "restart" or not may_make):
        return {1}
    can_fail = waits is not None and (waits < DRAIN or jolts or seen.dies_soon(name) or setup.makes_pauses)
    return {0, 1} if can_fail else {0}


def expected_of_default(seen, action, slot):
    """Returns the exit codes that an order for a profile can have that the gateway of default is to serve."""
    waits = action.waits()
    is_sure = not (seen.is_default_disturbed() or (slot and slot.is_up))
    if action.kind == "restart":
        return {1}
    if action.kind == "stop":
        return {0} if waits is None or (is_sure and waits >= DRAIN) else {0, 1}
    if not is_sure:
        return {0, 1}
    if seen.host in ("down", "alone"):
        return {1}
    return {0} if waits is None or (seen.host != "silent" and waits >= DRAIN) else {0, 1}
