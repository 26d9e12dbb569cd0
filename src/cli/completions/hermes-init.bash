# shellcheck shell=bash
# Completion of hermes-init for bash, which needs no package: `hermes-init complete` says what may come next.
_hermes_init() {
    local -a words=()
    local word joins='' line
    # bash breaks words at = and :, also those that hermes-init takes as one.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ ${#words[@]} -gt 0 && ($word == [=:]* || -n $joins) ]]; then words[-1]+=$word; else words+=("$word"); fi
        if [[ $word == [=:]* ]]; then joins=yes; else joins=''; fi
    done
    # What is completed is what comes after the last break.
    local last=${COMP_WORDS[COMP_CWORD]}
    [[ $last != [=:]* ]] || last=''
    local before=${words[-1]%"$last"}
    COMPREPLY=()
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        case $line in
        '<DIR>') compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$last") ;;
        '<PATH>') compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$last") ;;
        '<'*) ;;
        *) COMPREPLY+=("${line#"$before"}") ;;
        esac
    done < <('/usr/bin/hermes-init' complete -- "${words[@]}" 2>/dev/null)
}
complete -F _hermes_init hermes-init
