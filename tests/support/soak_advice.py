"""What `status` advises in a soak is done, word for word: it changes what is said, and nothing leads in a circle."""

import json
import re

from support.soak_actions import LIMIT
from support.soak_checks import is_up
from support.soak_model import SINGLE

# The most pieces of advice until there is nothing more to be done.
STEPS = 4
# What somebody else is to do before, or what comes by itself.
CONDITIONS = ("once that is resolved", "if this lasts")


def notes(seen):
    said = seen.container.bed.init("status", "--json", uid=seen.uid, code=None, timeout=LIMIT).stdout.splitlines()
    return {row["profile"]: row["note"] or "" for row in map(json.loads, said) if row["kind"] == "gateway"}


def command_in(note):
    """Returns the command that a note ends with; None if there is none, or it only shows something."""
    found = re.search(r"\S*/(?:hermes-init|s6-svc) [^;]*$", note)
    is_only_shown = found is None or " logs " in found[0]
    return None if is_only_shown or any(words in note for words in CONDITIONS) else found[0]


def is_file(note):
    return note.endswith("; remove the file")


def follow(seen, name, note):
    """Does what a note says. Returns what has come of it."""
    container = seen.container
    if is_file(note):
        container.edit(name, None)
        seen.model.known(name).tokens.add(None)
        return "the file is removed"
    command = command_in(note)
    if " unregister " in command:
        seen.model.known(name).variable = ""
    done = container.bed.run(["sh", "-c", command], uid=0 if "as root" in note else seen.uid, timeout=LIMIT)
    return f"exit code {done.returncode}: {done.stderr.decode(errors='replace').strip()[:300]}"


def advice_helps(seen, followed):
    """Follows all advice, name by name, and yields what it did not help with. `followed` gets each piece of it."""
    for name in notes(seen):
        said = []
        while command_in(note := notes(seen).get(name, "")) or is_file(note):
            # What ends by itself each time is not helped by a start.
            if seen.dies_soon(name) and said:
                break
            if note in [earlier for earlier, _ in said] or len(said) == STEPS:
                yield f"{name}: after {said} status says again or still: {note}"
                break
            said.append((note, follow(seen, name, note)))
            followed.append(note)
            seen.slots, seen.is_calm = seen.container.calm()
        volume = seen.volume
        if name in volume.names() and volume.needs_default(name) and not is_up(seen, name) and not seen.dies_soon("default"):
            host, why = volume.host(seen.slots), (volume.state("default") or {}).get("multiplex_standalone_reason") or ""
            # A state file that somebody has replaced tells nothing, and what else keeps default alone has to be resolved.
            is_excused = host == "silent" or (host == "alone" and not why.startswith(SINGLE))
            if not is_excused and not (isinstance(host, list) and name in host):
                yield f"{name}: after {said} default does not serve it: {host}"
    for name, known in seen.model.profiles.items():
        known.is_tied, known.has_down, known.may_have_leftovers, known.has_own = False, None, True, is_up(seen, name)
