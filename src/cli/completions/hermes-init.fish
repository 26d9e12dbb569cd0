# Completion of hermes-init for fish: `hermes-init complete` says what may come next.
function __hermes_init_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    # A directory may be the value of an option in the same word.
    set -l option (string match -r -- '^--[^=]*=' "$last")
    set -l rest (string replace -r -- '^--[^=]*=' '' "$last")
    for line in ('/usr/bin/hermes-init' complete -- $words[2..-1] "$last" 2>/dev/null)
        switch $line
            case '<DIR>'
                string replace -r -- '^' "$option" (__fish_complete_directories "$rest" '')
            case '<PATH>'
                __fish_complete_path "$last"
            case '<*'
            case '*'
                printf '%s\n' $line
        end
    end
end
complete -c hermes-init -f -a '(__hermes_init_complete)'
