# bash completion for forkless. Commands, options and their choices are read from the program's own
# --help, so that they cannot differ from it; studies and trials from the store.

# Commands, one a line.
_forkless_commands() {
    "$1" --help 2>/dev/null | awk '/^  [a-z][a-z-]*  / && $1 != "forkless" { print $1 }'
}

# Options of a command, one a line.
_forkless_options() {
    "$1" "$2" --help 2>/dev/null | awk '
        /^ +-/ {
            sub(/^ +/, "")
            sub(/  .*/, "")
            n = split($0, word, /[ ,=]+/)
            for (i = 1; i <= n; i++) if (word[i] ~ /^-/) print word[i]
        }'
}

# Choices of an option whose --help line says "--option one|two".
_forkless_choices() {
    "$1" "$2" --help 2>/dev/null | awk -v option="$3" '
        /^ +-/ {
            sub(/^ +/, "")
            sub(/  .*/, "")
            n = split($0, word, /[ ,=]+/)
            for (i = 1; i < n; i++)
                if (word[i] == option && gsub(/\|/, "\n", word[n])) print word[n]
        }'
}

# Names of the studies in the default store.
_forkless_studies() {
    "$1" status --json 2>/dev/null | grep -o '"name":"[^"]*"' | cut -d'"' -f4
}

# Numbers of the trials of its only or newest study.
_forkless_trials() {
    "$1" trials --json -n 0 2>/dev/null | sed -n 's/^{"number":\([0-9]*\).*/\1/p'
}

# Names of the reproducers.
_forkless_reproducers() {
    "$1" repro 2>/dev/null | awk '{ print $1 }'
}

# Names of the drills.
_forkless_drills() {
    "$1" drill 2>/dev/null | awk '{ print $1 }'
}

# Keys of the settings, as `config --help` lists them.
_forkless_settings() {
    "$1" config --help 2>/dev/null | sed -n 's/^Keys: \([A-Z_, ]*\), .*/\1/p' | tr -s ', ' '\n'
}

# Numbers of the trials that run.
_forkless_running() {
    "$1" status --json 2>/dev/null | grep -o '"running_trials":\[[^]]*' | grep -o '"number":[0-9]*' | cut -d: -f2
}

_forkless() {
    local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]-} cur=${COMP_WORDS[COMP_CWORD]}
    local prev=${COMP_WORDS[COMP_CWORD - 1]} words="" i
    COMPREPLY=()

    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_forkless_commands "$program") help --help --version" -- "$cur")
        return
    fi
    # After `--` stands a command with its arguments.
    for ((i = 2; i < COMP_CWORD; i++)); do
        if [ "${COMP_WORDS[i]}" = -- ]; then
            mapfile -t COMPREPLY < <(if [ $((i + 1)) -eq "$COMP_CWORD" ]; then compgen -c -- "$cur"; else compgen -f -- "$cur"; fi)
            return
        fi
    done
    # The shell breaks --option=value into three words.
    [ "$cur" != = ] || cur=""
    [ "$prev" != = ] || prev=${COMP_WORDS[COMP_CWORD - 2]}

    case $prev in
    --storage | --tls-* | --token-file)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --study) words=$(_forkless_studies "$program") ;;
    -*) words=$(_forkless_choices "$program" "$command" "$prev") ;;
    esac
    if [ -z "$words" ] && [[ $cur == -* ]]; then
        words=$(_forkless_options "$program" "$command")
    elif [ -z "$words" ]; then
        case $command in
        run | check)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(
                for i in yaml yml json; do compgen -f -X "!*.$i" -- "$cur"; done
                compgen -d -- "$cur"
            )
            return
            ;;
        status | trials | best | export) words=$(_forkless_studies "$program") ;;
        dump) words=$(_forkless_running "$program") ;;
        help) words=$(_forkless_commands "$program") ;;
        repro) words=$(_forkless_reproducers "$program") ;;
        drill) words=$(_forkless_drills "$program") ;;
        spool) words="ls replay" ;;
        config)
            case $COMP_CWORD-${COMP_WORDS[2]} in
            2-*) words="get set history rollback" ;;
            *-get) words=$(_forkless_settings "$program") ;;
            *-set)
                compopt -o nospace 2>/dev/null
                mapfile -t COMPREPLY < <(compgen -S = -W "$(_forkless_settings "$program")" -- "$cur")
                return
                ;;
            esac
            ;;
        db)
            if [ "$COMP_CWORD" -gt 2 ]; then
                compopt -o filenames 2>/dev/null
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                return
            fi
            words="check vacuum upgrade copy"
            ;;
        logs)
            if [ "$COMP_CWORD" -eq 2 ]; then
                words=$(_forkless_trials "$program")
            else
                words=$(_forkless_studies "$program")
            fi
            ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _forkless forkless
