#!/usr/bin/env bash
# press_tab.sh SCRIPT alexnet-dist WORDS…: sources a completion script, sets what bash sets when TAB is pressed behind
# the words, and prints what it offers, a line each.
# shellcheck disable=SC1090,SC2034  # bash's completion reads the COMP_ variables
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
"$(complete -p alexnet-dist | sed -E 's/.*-F ([^ ]+) .*/\1/')" alexnet-dist "${!#}"
printf '%s\n' "${COMPREPLY[@]}"
