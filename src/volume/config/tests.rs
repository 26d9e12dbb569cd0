use super::*;

fn on(text: &str) -> bool {
    matches!(multiplex(text.as_bytes()), Answer::True { .. })
}

#[test]
fn both_places_count() {
    for text in [
        "multiplex_profiles: true",
        "a: 1\nmultiplex_profiles: yes # comment\nb: 2\n",
        "\u{feff}---\r\n\"multiplex_profiles\": On\r\n",
        "gateway:\n  port: 1\n  multiplex_profiles: true\n",
        "gateway: # here\n    'multiplex_profiles' : TRUE\nother: x\n",
        "  gateway:\n   multiplex_profiles: true\n  x: y\n",
        "args: [\"a\", b, {c: 'd'}]\nnote: |\n  multiplex_profiles: false\n\n  gateway:\nmultiplex_profiles: true\n",
        "list:\n- a: 1\n  b: 2\n- c\nmultiplex_profiles: true\n",
        "text: it's plain\n  and goes on\ngateway:\n  list:\n  - x\n  multiplex_profiles: true\n",
        "text: \"two\nmultiplex_profiles: false\nlines\"\nmultiplex_profiles: true\n",
        "x: [1,\n2]\nmultiplex_profiles: true\n",
    ] {
        assert!(on(text), "{text:?} {:?}", multiplex(text.as_bytes()));
    }
}

#[test]
fn other_places_do_not() {
    for text in [
        "",
        "# multiplex_profiles: true\n",
        "other:\n  multiplex_profiles: true\n",
        "gateway:\n  deep:\n    multiplex_profiles: true\n",
        "gateway: ~\nother:\n  multiplex_profiles: true\n",
        "gateway: null # none\nother:\n  multiplex_profiles: true\n",
        "text: |\n  multiplex_profiles: true\n",
        "text: >-\n\n   multiplex_profiles: true\n",
        "text: '\n  multiplex_profiles: true'\n",
        "list:\n- multiplex_profiles: true\n",
        "x: {multiplex_profiles: true}\n",
        "[anything\n goes: {here",
    ] {
        assert_eq!(multiplex(text.as_bytes()), Answer::Absent, "{text:?}");
    }
}

#[test]
fn false_is_off_at_its_line() {
    assert_eq!(multiplex(b"a: 1\n\nmultiplex_profiles: off\n"), Answer::False { line: 3 });
    assert_eq!(multiplex(b"gateway:\n  multiplex_profiles:\nb: 1\n"), Answer::False { line: 2 });
}

#[test]
fn what_is_not_certain_is_said() {
    for text in [
        "multiplex_profiles: \"true\"\n",
        "multiplex_profiles: 1\n",
        "multiplex_profiles: [true]\n",
        "multiplex_profiles: &a true\n",
        "multiplex_profiles: true\nmultiplex_profiles: true\n",
        "multiplex_profiles: true\ngateway:\n  multiplex_profiles: false\n",
        "multiplex_profiles:\n  true\n",
        "multiplex_profiles: true\n  false\n",
        "gateway: {multiplex_profiles: true}\n",
        "gateway: &a\n  multiplex_profiles: true\n",
        "gateway:\n  <<: *base\n  multiplex_profiles: true\n",
        "gateway:\n  x: 1\ngateway:\n  multiplex_profiles: true\n",
        "gateway:\n- multiplex_profiles: true\n",
        "gateway:\n\tmultiplex_profiles: true\n",
        "{multiplex_profiles: true}\n",
        "? multiplex_profiles\n: true\n",
        "\"multiplex\\u005fprofiles\": true\n",
        "multiplex_profiles: true\n---\na: 1\n",
        "a: 'open\nmultiplex_profiles: true\n",
        "a: [1\nmultiplex_profiles: true\n",
        "a: 1\rmultiplex_profiles: true\n",
        "a: \u{1}\nmultiplex_profiles: true\n",
    ] {
        assert!(matches!(multiplex(text.as_bytes()), Answer::Unsure { .. }), "{text:?}");
    }
    assert!(matches!(multiplex(b"multiplex_profiles: true\n\xff"), Answer::Unsure { .. }));
    assert_eq!(
        multiplex(b"a: 1\nmultiplex_profiles: maybe\n"),
        Answer::Unsure { line: 2, why: "multiplex_profiles is neither true nor false" }
    );
}

#[test]
fn standalone_is_a_boolean_or_a_word_for_yes() {
    for (value, expected) in [
        ("true", true),
        ("yes", true),
        ("On", true),
        ("tRuE", true),
        ("1", true),
        ("7", true),
        ("'Yes'", true),
        ("\" on \" # by itself", true),
        ("\"1\"", true),
        ("false", false),
        ("Off", false),
        ("0", false),
        ("'0'", false),
        ("''", false),
        ("~", false),
        ("null", false),
        ("", false),
        ("[]", false),
        ("{}", false),
        ("maybe", false),
        ("yes please", false),
        ("'2'", false),
    ] {
        let text = format!("a: 1\ngateway:\n  standalone: {value}\nb: 2\n");
        let line = 3;
        let answer = if expected { Answer::True { line } } else { Answer::False { line } };
        assert_eq!(standalone(text.as_bytes()), answer, "{value}");
    }
    for text in
        ["", "standalone: true\n", "other:\n  standalone: true\n", "gateway:\n  x:\n    standalone: true\n"]
    {
        assert_eq!(standalone(text.as_bytes()), Answer::Absent, "{text:?}");
    }
}

#[test]
fn a_doubt_about_standalone_names_its_key() {
    for value in [
        "1.5",
        "010",
        "-1",
        "[true]",
        "{a: 1}",
        "&a true",
        "!!str yes",
        "|",
        "2026-01-01",
        "'it''s'",
        "\"\\x79es\"",
        "é",
    ] {
        let text = format!("gateway:\n  standalone: {value}\n");
        let answer = standalone(text.as_bytes());
        assert!(
            matches!(answer, Answer::Unsure { line: 2, why } if why.contains("gateway.standalone")),
            "{value} {answer:?}"
        );
    }
    for text in [
        "gateway: {standalone: true}\n",
        "gateway:\n  standalone:\n  - a\n",
        "gateway:\n  standalone: true\n  standalone: true\n",
    ] {
        assert!(matches!(standalone(text.as_bytes()), Answer::Unsure { .. }), "{text:?}");
    }
}

#[test]
fn a_doubt_names_the_line_of_the_key() {
    for (text, at) in [
        ("a: 1\ngateway: {multiplex_profiles: true}\nb: 2\n", 2),
        ("gateway: [1,\n2,\nmultiplex_profiles]\n", 1),
        ("gateway:\n  a: 1\ngateway:\n  multiplex_profiles: true\n", 3),
        ("a: 1\nmultiplex_profiles: maybe\n", 2),
    ] {
        let found = multiplex(text.as_bytes());
        assert!(matches!(found, Answer::Unsure { line, .. } if line == at), "{text:?} {found:?}");
    }
}
