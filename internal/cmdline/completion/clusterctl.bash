# Completion of clusterctl for bash 4.3 and later, with bash-completion or without.
#
# This script never evaluates the words of the command line. It passes the words unchanged to "clusterctl __complete".

_clusterctl() {
    local rest=${COMP_LINE:0:COMP_POINT} word cut="" i
    local -a words=() reply=()
    COMPREPLY=()
    # COMP_WORDS contains the parts of words between "=", ":" and "@". Join the parts that have no blank between them.
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
    # The word under the cursor is the rest of the line up to the cursor.
    if ((COMP_CWORD == 0)); then
        return
    elif [[ -z $rest || $rest == [[:space:]]* ]] && [[ ${COMP_WORDS[COMP_CWORD]-} == "" || $rest == [[:space:]]* ]]; then
        words+=("${rest#"${rest%%[![:space:]]*}"}")
    else
        words[-1]+=$rest
    fi
    word=${words[-1]}
    # Bash replaces only the part of the word after the last "=", ":" or "@", so remove the part before it from the
    # candidates. Bash also replaces an "@" itself, because readline completes host names from the "@".
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
    # compopt fails if a test calls this function outside a completion.
    case ${reply[0]-} in
        files) compopt -o default 2>/dev/null ;;
        dirs) compopt -o dirnames 2>/dev/null ;;
    esac
    return 0
}

complete -o nosort -F _clusterctl clusterctl 2>/dev/null || complete -F _clusterctl clusterctl
