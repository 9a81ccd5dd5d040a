#compdef clusterctl
# Completion of clusterctl for zsh. Install it as the file _clusterctl in a directory of $fpath, or source it after compinit.
#
# This script never evaluates the words of the command line. It passes the words unchanged to "clusterctl __complete".

_clusterctl() {
    local -a before lines entries
    local line value about kind
    (( CURRENT > 2 )) && before=("${(@)words[2,CURRENT-1]}")
    lines=("${(@f)$(command clusterctl __complete -- "${before[@]}" "$PREFIX" 2>/dev/null)}")
    kind=$lines[1]
    shift lines
    for line in "${lines[@]}"; do
        value=${line%%$'\t'*}
        about=${line#*$'\t'}
        entries+=("${value//:/\\:}${about:+:$about}")
    done
    local ret=1
    (( $#entries )) && _describe -t clusterctl clusterctl entries && ret=0
    case $kind in
        files) compset -P '--*='; _files && ret=0 ;;
        dirs) compset -P '--*='; _files -/ && ret=0 ;;
    esac
    return ret
}

if [[ ${funcstack[1]} == _clusterctl ]]; then
    _clusterctl "$@"
elif (( $+functions[compdef] )); then
    compdef _clusterctl clusterctl
fi
