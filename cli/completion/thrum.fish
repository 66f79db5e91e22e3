# Completion for fish. It asks the command itself what commands and options there are.

function __thrum_commands
    command thrum --help 2>/dev/null | string replace -rf '^  thrum ([a-z]+) +(.*)$' '$1\t$2'
end

function __thrum_options
    set -l command (commandline -opc)[2]
    command thrum $command --help 2>/dev/null | string match -rg -- '^ +(?:-., )?(--[a-z][a-z-]*)'
end

function __thrum_in
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

complete -c thrum -n 'test (count (commandline -opc)) -eq 1' -f -a '(__thrum_commands)'
complete -c thrum -n 'test (count (commandline -opc)) -ge 2; and string match -q -- "-*" (commandline -ct)' -f -a '(__thrum_options)'
complete -c thrum -n '__thrum_in doctor' -f
complete -c thrum -n '__thrum_in new' -f -a '(__fish_complete_directories)'
complete -c thrum -n '__thrum_in top dump' -a '(__fish_complete_pids)'
