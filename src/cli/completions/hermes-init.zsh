#compdef hermes-init
# Completion of hermes-init for zsh: `hermes-init complete` says what may come next.
local line
local -a found
for line in "${(@f)$('/usr/bin/hermes-init' complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
    case $line in
    ''|'<'*) ;;
    *$'\t'*) found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
    *) found+=("${line//:/\\:}") ;;
    esac
    case $line in
    '<DIR>') compset -P '--*='; _files -/ ;;
    '<PATH>') _files ;;
    esac
done
(( ! $#found )) || _describe hermes-init found
