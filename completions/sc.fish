# fish completion: asks `sc complete`, which knows the verbs, the options and what may stand where.

function __sc_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    # What it means, also while a quote is open.
    set -l word (string unescape -- $typed; or string unescape -- $typed\'; or string unescape -- $typed\")[1]
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    set -l out ($program complete fish $words[2..] "$word" 2>/dev/null)
    or return
    switch "$out[1]"
        case words
            printf '%s\n' $out[2..]
        case 'files *'
            set -l at (string replace 'files ' '' -- $out[1])
            set -l before (string sub -l $at -- $word)
            __fish_complete_path (string sub -s (math $at + 1) -- $word) | while read -l line
                printf '%s\n' "$before$line"
            end
        case 'command *'
            set -l at (math (string replace 'command ' '' -- $out[1]) + 2)
            complete -C "$(string escape -- $words[$at..]) $typed"
    end
end

complete -c sc -f -a '(__sc_complete)'
