//! /proc/PID/cmdline: the command is a suffix of the argv, behind the wrapper; words in front of the wrapper and NULs behind the
//! last word change nothing; a front end is no `gateway run`.
#![no_main]

use hermes_init::fuzzing::ContainerCommand;
use libfuzzer_sys::fuzz_target;

fn ends(word: &[u8], name: &[u8]) -> bool {
    word == name || word.ends_with(&[b"/", name].concat())
}

fuzz_target!(|cmdline: &[u8]| {
    let found = ContainerCommand::of_cmdline(cmdline);
    assert_eq!(ContainerCommand::of_cmdline(&[b"/bin/sh\0-e\0\xff\0", cmdline].concat()), found);
    assert_eq!(ContainerCommand::of_cmdline(&[cmdline, b"\0\0"].concat()), found);
    let argv: Vec<&[u8]> = cmdline.split(|byte| *byte == 0).filter(|word| !word.is_empty()).collect();
    let wrapper = argv.iter().position(|word| ends(word, b"main-wrapper.sh"));
    assert_eq!(found.is_some(), wrapper.is_some());
    let (Some(words), Some(wrapper)) = (found, wrapper) else { return };
    let start = argv.len().checked_sub(words.len()).expect("no more words than there are");
    assert!(argv[start..].iter().zip(&words).all(|(one, other)| one == other));
    let between = &argv[wrapper + 1..start];
    assert!(between.len() <= 2);
    assert!(between.iter().all(|word| ends(word, b"entrypoint-dispatch.sh") || ends(word, b"hermes")));
});
