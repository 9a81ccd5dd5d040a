# Completion of clusterctl for fish 3.0 and later.
#
# This script never evaluates the words of the command line. It passes the words unchanged to "clusterctl __complete".

function __clusterctl_reply
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    command clusterctl __complete -- $words "$current" 2>/dev/null
end

function __clusterctl_words
    set -l reply (__clusterctl_reply)
    set -l kind "$reply[1]"
    set -e reply[1]
    if set -q reply[1]
        printf '%s\n' $reply
    end
    if test "$kind" = dirs
        __fish_complete_directories (commandline -ct | string replace -r -- '^--[^=]*=' '') directory
    end
end

function __clusterctl_wants_files
    set -l reply (__clusterctl_reply)
    test "$reply[1]" = files
end

complete -c clusterctl -f -a '(__clusterctl_words)'
complete -c clusterctl -n __clusterctl_wants_files -F
