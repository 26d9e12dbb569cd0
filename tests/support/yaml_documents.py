"""Seeded generators of YAML documents with `multiplex_profiles`: ordinary ones, which the reader must be certain of, and odd ones."""

WORDS = [
    "model",
    "port",
    "plugins",
    "note",
    "multiplex",
    "gateway_url",
    "profiles",
    "multiplex_profiles2",
    "xmultiplex_profiles",
    "a-b",
    "it's",
    "true",
    "on",
    "x#y",
    "a:b",
    "http://h:1/x",
    "-x",
    "1.5",
    "~",
    "null",
    "2024-01-02",
    "0x1F",
    "multiplex_profiles",
    "gateway",
]
TRUE = ["true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"]
FALSE = ["false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "", "~", "null", "Null", "NULL"]
COMMENTS = ["# a comment", "# multiplex_profiles: true", "#", "#: x", "# gateway: {", "# 'open", '# "open', "#\tx", "# - x"]


class Ordinary:
    """Documents as people write them: block mappings and sequences, plain, quoted and block scalars, one-line flow values, comments."""

    def __init__(self, random):
        self.random, self.count = random, 0

    def key(self):
        self.count += 1
        return self.random.choice(["model", "port", "note", "multiplex", "gateway_url", "profile-x", "x.y", "multiplex_profiles2"]) + str(
            self.count
        )

    def comment(self):
        return self.random.choice(["", "", "", "  " + self.random.choice(COMMENTS)])

    def quoted_key(self, key):
        return self.random.choice([key, key, key, f"'{key}'", f'"{key}"']) + self.random.choice(["", "", "", " "])

    def scalar(self):
        return self.random.choice(
            [
                "x",
                "3",
                "true",
                "off",
                "it's plain",
                "a b c",
                "http://h:1/x?y=z#w",
                "x #y",
                "'multiplex_profiles: true'",
                '"a \\" # b"',
                "'it''s: x'",
                '"\\u00e9 \\t"',
                "''",
                "[]",
                "{}",
                "[a, 'b: c', \"]\"]",
                "{a: 1, b: [2, 3]}",
                "[multiplex_profiles, gateway]",
                "multiplex_profiles",
                "~",
                "-1",
                "a:b",
                "\u00e9\u00e8",
                "{multiplex_profiles: true}",
            ]
        )

    def blanks(self):
        return self.random.choice([[], [], [], [""], ["   "], [" " * self.random.randint(0, 6) + self.random.choice(COMMENTS)]])

    def value(self, indent, depth):
        """Returns the rest of a key's line and the lines below it."""
        pad = " " * (indent + self.random.choice([1, 2, 2, 2, 4]))
        kind = self.random.choice(
            ["scalar"] * 5 + ["literal", "folded", "plain", "double", "single", "flow"] + ["mapping", "sequence"] * (2 if depth < 3 else 0)
        )
        if kind == "scalar":
            return " " + self.scalar() + self.comment(), []
        if kind in ("literal", "folded"):
            lines = self.random.sample(
                ["multiplex_profiles: true", "gateway:", "  deeper", "", "- x", "'open", "# no comment", "x: [", "plain"], 3
            )
            lines = ["first", *lines]
            head = {"literal": " |", "folded": " >"}[kind] + self.random.choice(["", "-", "+"]) + self.comment()
            return head, [pad + line if line else "" for line in lines]
        if kind == "plain":
            return " some text", [pad + "that goes on", pad + "  multiplex_profiles", pad + "and ends" + self.comment()]
        if kind == "double":
            return ' "two', [
                self.random.choice([pad, ""]) + self.random.choice(["gateway:", "multiplex_profiles: true", "x"]) + ' \\" y',
                pad + 'lines"' + self.comment(),
            ]
        if kind == "single":
            return " 'two", [pad + "multiplex_profiles: true", "", pad + "it''s'" + self.comment()]
        if kind == "flow":
            return " [a,", [pad + "{b: c}, # x", pad + "'multiplex_profiles: true',", pad + "]" + self.comment()]
        if kind == "sequence":
            flat = self.random.choice([" " * indent, pad])
            lines = []
            for _ in range(self.random.randint(1, 3)):
                item = self.random.choice(["scalar", "scalar", "mapping", "nested"])
                if item == "scalar":
                    lines.append(f"{flat}- {self.scalar()}{self.comment()}")
                elif item == "nested":
                    lines += [f"{flat}- - x", f"{flat}  - {self.scalar()}"]
                else:
                    lines += [f"{flat}- {self.key()}: {self.scalar()}", f"{flat}  multiplex_profiles: true", f"{flat}  {self.key()}:"]
                lines += self.blanks()
            return self.comment(), lines
        return self.comment(), self.mapping(len(pad), depth + 1, self.random.choice([[], [f"{pad}multiplex_profiles: true"]]))

    def mapping(self, indent, depth, fixed=()):
        """Returns the lines of a mapping that includes the given ones."""
        pad = " " * indent
        entries = [[line] for line in fixed]
        for _ in range(self.random.randint(0 if entries else 1, 3)):
            head, below = self.value(indent, depth)
            entries.append([f"{pad}{self.quoted_key(self.key())}:{head}", *below])
        self.random.shuffle(entries)
        return [line for entry in entries for line in [*self.blanks(), *entry]]

    def document(self):
        def ours(pad):
            return [f"{pad}{self.quoted_key('multiplex_profiles')}: {self.random.choice(TRUE + FALSE)}{self.comment()}"]

        top, section = self.random.choice([(0, 0), (1, 0), (0, 1), (0, 1), (0, 2)])
        entries = [ours("")] if top else []
        if section == 1:
            indent = self.random.choice([1, 2, 2, 2, 4, 8])
            entries.append([f"{self.quoted_key('gateway')}:{self.comment()}", *self.mapping(indent, 1, ours(" " * indent))])
        elif section == 2:
            entries.append([f"gateway: {self.random.choice(['~', 'null'])}{self.comment()}"])
        for _ in range(self.random.randint(0, 4)):
            head, below = self.value(0, 0)
            entries.append([f"{self.quoted_key(self.key())}:{head}", *below])
        self.random.shuffle(entries)
        lines = self.random.choice([[], [], ["---"], ["# head", "---"]])
        lines = [*lines, *[line for entry in entries for line in [*self.blanks(), *entry]]]
        end = self.random.choice(["\n", "\n", "\r\n"])
        return self.random.choice(["", "", "", "\ufeff"]) + end.join(lines) + self.random.choice([end, end, ""])


class Odd:
    """Arbitrary sequences of YAML tokens, and ordinary documents with a token inserted, removed or moved."""

    PIECES = (
        "multiplex_profiles",
        "gateway",
        "multiplex_profiles: true",
        "multiplex_profiles: yes\n",
        "gateway:\n",
        "gateway: ",
        ": ",
        ":",
        "true",
        "false",
        "\n",
        "\n",
        "\n  ",
        "\n    ",
        "\n ",
        "\n\t",
        "  ",
        "- ",
        "\n- ",
        "? ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        '"',
        "|",
        ">",
        "|\n  ",
        ">-\n",
        "#",
        " # x",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "!!bool ",
        "<<: ",
        "---\n",
        "...\n",
        "--- ",
        "%YAML 1.1\n",
        "@",
        "`",
        "%",
        "~",
        "\\",
        "\\x6d",
        "x",
        "1",
        "\r",
        "\r\n",
        "\u00a0",
        "\ufeff",
        "\u2028",
        "\u0085",
        "\x01",
        "=",
        "!!binary ",
        "2024-13-45",
        "|2",
        "''",
        '""',
        "a: 1\n",
        "b:\n  c: 1\n",
    )

    def __init__(self, random):
        self.random = random

    def document(self):
        if self.random.random() < 0.25:
            return "".join(self.random.choice(self.PIECES) for _ in range(self.random.randint(1, 14)))
        text = Ordinary(self.random).document()
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            at = self.random.randint(0, len(text))
            what = self.random.random()
            if what < 0.6:
                text = text[:at] + self.random.choice(self.PIECES) + text[at:]
            elif what < 0.85:
                text = text[:at] + text[at + self.random.randint(1, 6) :]
            else:
                lines = text.split("\n")
                line = self.random.randrange(len(lines))
                lines[line] = (
                    self.random.choice([" ", "  ", ""]) + lines[line].strip()
                    if self.random.random() < 0.5
                    else lines[self.random.randrange(len(lines))]
                )
                text = "\n".join(lines)
        return text
