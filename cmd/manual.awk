# A page of the manual, for scdoc: the prose of a .scd file with what `sc table` says put in its place. Reads the table, then the page:
#
#   sc table | awk -f cmd/manual.awk -v bin=NAME - PAGE.scd
#
#   {sc}          the program's name
#   @synopsis@    a line for each verb
#   @verbs@       a section for each verb, with its options

function escape(text)
{
	gsub(/[\\_*]/, "\\\\&", text)
	return text
}

# KEY, DUR, FILE and their like stand for something.
function placeholders(text, out)
{
	while (match(text, /[A-Z][A-Z]*/)) {
		out = out substr(text, 1, RSTART - 1) "_" substr(text, RSTART, RLENGTH) "_"
		text = substr(text, RSTART + RLENGTH)
	}
	return out text
}

function usage(verb)
{
	return "*" escape(bin " " verb) "*" (options[verb] ? " [_OPTIONS_]" : "") (words[verb] ? " " placeholders(words[verb]) : "")
}

FNR == NR {
	split($0, f, "\t")
	if (f[1] == "verb") {
		verbs[++n] = f[2]
		words[f[2]] = f[3]
		summary[f[2]] = f[5]
	} else if (f[1] == "option") {
		options[f[2]] = options[f[2]] (f[3] != "" ? "*-" f[3] "*, " : "") "*--" escape(f[4]) "*" \
			(f[5] ? " " (f[5] ~ /[A-Z]/ ? placeholders(f[5]) : "_" f[5] "_") : "") "\n\t" escape(f[6]) "\n\n"
	}
	next
}

$0 == "@synopsis@" {
	for (i = 1; i <= n; i++)
		print usage(verbs[i]) (i < n ? "++" : "")
	next
}

$0 == "@verbs@" {
	for (i = 1; i <= n; i++) {
		verb = verbs[i]
		printf "## %s\n\n%s\n\n%s.\n\n", verb, usage(verb), escape(summary[verb])
		if (options[verb] in told)
			printf "Options: those of *%s*.\n\n", told[options[verb]]
		else if (options[verb])
			printf "%s", options[verb]
		if (options[verb] && !(options[verb] in told))
			told[options[verb]] = verb
	}
	next
}

{
	gsub(/\{sc\}/, bin)
	print
}
