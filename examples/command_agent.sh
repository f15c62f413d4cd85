#!/bin/sh
# An agent in any language: the text comes in on stdin, what it prints is the answer, nothing printed is no answer.
# The whole message is JSON in $BUOY_MESSAGE. Ending with an error makes the turn fail; its last line on stderr is kept.
#
# BUOY_AGENT=command:./command_agent.sh buoy run

text=$(cat)
case $text in
    time) date ;;
    words*) printf '%s' "$text" | wc -w ;;
    fail) echo "as you wished" >&2; exit 1 ;;
    silence) ;;
    *) printf 'I know the words time, words, silence and fail, not: %s\n' "$text" ;;
esac
