# Completion of clusterctl for bash 4.3 and later, with bash-completion or without.
#
# Nothing that stands on the command line is evaluated: its words go to "clusterctl __complete" as they were typed.

_clusterctl() {
    local rest=${COMP_LINE:0:COMP_POINT} word cut="" i
    local -a words=() reply=()
    COMPREPLY=()
    # Bash splits words at "=", ":" and "@" too. They are put together again where no blank stands between them.
    for ((i = 0; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i == 0)) || [[ $rest == [[:space:]]* ]]; then
            words+=("$word")
        else
            words[-1]+=$word
        fi
        rest=${rest#"${rest%%[![:space:]]*}"}
        rest=${rest#"$word"}
    done
    # What is left is the current word, up to the cursor.
    if ((COMP_CWORD == 0)); then
        return
    elif [[ -z $rest || $rest == [[:space:]]* ]] && [[ ${COMP_WORDS[COMP_CWORD]-} == "" || $rest == [[:space:]]* ]]; then
        words+=("${rest#"${rest%%[![:space:]]*}"}")
    else
        words[-1]+=$rest
    fi
    word=${words[-1]}
    # Bash puts the answer in the place of what stands behind the last of its word breaks; an "@" goes with that (readline
    # has it for the names of hosts).
    if [[ $word != [\'\"]* ]]; then
        for ((i = ${#word}; i > 0; i--)); do
            if [[ "=:@" == *"${word:i-1:1}"* && $COMP_WORDBREAKS == *"${word:i-1:1}"* ]]; then
                cut=${word:0:i}
                [[ $cut != *@ ]] || cut=${cut%@}
                break
            fi
        done
    fi
    mapfile -t reply < <(command clusterctl __complete -- "${words[@]:1}" 2>/dev/null)
    for word in "${reply[@]:1}"; do
        word=${word%%$'\t'*}
        COMPREPLY+=("${word#"$cut"}")
    done
    # compopt works only while bash itself completes.
    case ${reply[0]-} in
        files) compopt -o default 2>/dev/null ;;
        dirs) compopt -o dirnames 2>/dev/null ;;
    esac
    return 0
}

complete -o nosort -F _clusterctl clusterctl 2>/dev/null || complete -F _clusterctl clusterctl
