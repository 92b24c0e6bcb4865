# bash completion: asks `sc complete`, which knows the verbs, the options and what may stand where.
# shellcheck shell=bash

_sc() {
	local line=$COMP_LINE word typed before out i n=-1
	local -a words=() from=()

	# Bash breaks words at COMP_WORDBREAKS, such as = and :, too. Those with nothing between them are one.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $i -gt 0 && -n $word && $line == "$word"* ]]; then
			words[n]+=$word
		else
			line=${line#"${line%%[![:blank:]]*}"}
			words[++n]=$word from[n]=$i
		fi
		line=${line#"$word"}
	done
	# The word ends at the cursor, and readline puts a candidate only in the place of $2, its last piece, without an opening quote.
	typed=${words[n]}
	if ((i = COMP_POINT - (${#COMP_LINE} - ${#line}), i < 0)); then typed=${typed::i}; fi
	words[n]=$typed
	before=${typed%"$2"}

	COMPREPLY=()
	out=$("${1/#\~\//$HOME/}" complete bash "${words[@]:1}" 2>/dev/null) || return
	case $out in
	words*)
		while IFS=$'\t' read -r word _; do
			COMPREPLY+=("${word#"$before"}")
		done <<<"${out#*$'\n'}"
		;;
	files*) compopt -o default ;;
	command*)
		n=${from[${out#command }+1]}
		if declare -F _command_offset >/dev/null; then
			_command_offset "$n"
		elif ((n == COMP_CWORD)); then
			mapfile -t COMPREPLY < <(compgen -c -- "$2")
		else
			compopt -o default
		fi
		;;
	esac
} && complete -F _sc sc
