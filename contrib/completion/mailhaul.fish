# SPDX-License-Identifier: MIT
# fish completion for mailhaul(1): options, settings behind -o, and the names of accounts.
#
# The options are read from --help when fish loads this file, at the first completion, and the
# accounts are asked for each time: nothing here can go stale.

function __mailhaul_accounts
    set -l words (commandline -opc)
    set -l config
    for i in (seq (count $words))
        switch $words[$i]
            case -f --config
                set config -f (string replace -r '^~/' $HOME/ -- $words[(math $i + 1)])
            case '--config=*'
                set config -f (string replace -r '^--config=' '' -- $words[$i])
        end
    end
    command mailhaul $config --list-accounts 2>/dev/null
end

# Files where a setting wants one, behind the key.
function __mailhaul_files
    set -l token (string match -r '(?:--option=)?([a-z0-9_]+=)(.*)' -- (commandline -ct))
    if set -q token[2]; and contains -- $token[2] $__mailhaul_file_keys
        string replace -r '^' $token[2] -- (__fish_complete_path $token[3])
    end
end

complete -c mailhaul -f
complete -c mailhaul -a '(__mailhaul_accounts)' -d account
set -g __mailhaul_settings
set -g __mailhaul_file_keys
set -l section options
# sed joins the lines of a row that takes several.
for line in (command mailhaul --help 2>/dev/null | sed -e ':a' -e '$!{N;ba' -e '}' \
    -e 's/|\n */|/g;s/\n \{30\}/ /g')
    switch $line
        case 'Account options*'
            set section settings
        case 'Options of the run*'
            set section run
    end
    set -l row (string match -r '^  (-\w,|   ) --([a-z0-9-]+)((?: [A-Z][A-Z=|]*)?) +(.*)$' -- $line)
    if set -q row[1]
        set -l spec -l $row[3] -d $row[5]
        string match -q -- '-*' $row[2]; and set -a spec -s (string sub -s 2 -l 1 -- $row[2])
        switch (string trim -- $row[4])
            case ''
            case KEY=VALUE
                set -a spec -x -a '$__mailhaul_settings (__mailhaul_files)'
            case '*FILE*' '*DIR*' '*COMMAND*'
                set -a spec -r -F
            case '*'
                set -a spec -x
        end
        complete -c mailhaul $spec
    end
    # In capitals are kinds of values, but for YES and NO.
    set row (string match -r '^  ([a-z][a-z0-9_]*) (\S+) +(.*)$' -- $line)
    # The one is refused behind -o, the other means nothing there.
    if test $section = settings; and set -q row[1]; and not contains -- $row[2] password auto
        set -a __mailhaul_settings $row[2]=\t$row[4]
        for word in (string split '|' -- $row[3])
            switch $word
                case YES NO
                    set -a __mailhaul_settings $row[2]=(string lower $word)\t$row[4]
                case FILE DIR COMMAND
                    set -a __mailhaul_file_keys $row[2]=
                case '*'
                    string match -qr '[a-z0-9]' -- $word
                    and set -a __mailhaul_settings $row[2]=$word\t$row[4]
            end
        end
    end
end
