# shellcheck shell=bash
# What the tests here share: the words that a program's --help teaches, read in a way of their own.

# help_commands PROGRAM: its subcommands, one a line.
help_commands() {
    "$1" --help | sed -nE 's/^  ([a-z][a-z-]*)  .*/\1/p' | grep -vx forkless
}

# help_options PROGRAM COMMAND: options that stand at the start of a line, one a line, sorted.
help_options() {
    "$1" "$2" --help | grep -oE '^ +(-[A-Za-z], )?-{1,2}[A-Za-z][a-z-]*(, --?[A-Za-z][a-z-]*)*' |
        grep -oE -- '-{1,2}[A-Za-z][a-z-]*' | sort -u
}
