#!/bin/sh
# SPDX-License-Identifier: MIT
# messages.t - mailhaul-messages(7) explains whatever the sources can say, and nothing else.
#
# A text is the first string of a call that makes an error, a problem of the configuration or a
# warning; a single word needs no explanation.  An entry's "..." stands for anything: it explains a
# text that begins as it does and in which its other pieces occur in their order.
. "$top_srcdir/tests/tap.sh"

page=$top_srcdir/man/mailhaul-messages.7

# The texts, one a line behind their place; %s and the like become "\001".
cat > "$work/texts.awk" <<'END'
function flush_text() {
	gsub(/%%/, "\002", text)
	gsub(/%[-+ 0#]*[0-9*]*(\.[0-9*]+)?(hh|h|ll|l|j|z|t)?[diouxXcsp]/, "\001", text)
	gsub(/%$/, "\001", text)             # before PRIu64
	gsub(/\002/, "%", text)
	bare = text
	gsub(/[^A-Za-z_]/, " ", bare)
	words = split(bare, word)
	for (i in word)
		words -= length(word[i]) < 2
	if (words > 1 || text ~ / failed: /)
		print FILENAME ":" text
	text = ""
}
# Cuts the next word, string or mark off s.
function next_token(    c) {
	sub(/^[ \t]+/, "", s)
	c = substr(s, 1, 1)
	if (c == "\"") {
		match(s, /^"([^"\\]|\\.)*"/)
	} else if (c == "'") {
		match(s, /^'([^'\\]|\\.)+'/)
	} else if (!match(s, /^[A-Za-z_0-9]+/)) {
		RSTART = RLENGTH = 1
	}
	token = substr(s, 1, RLENGTH)
	s = substr(s, RLENGTH + 1)
}
function take() {
	if (depth == 0 && token ~ calls) {
		name = token
		depth = -1                   # its parenthesis is awaited
		level = ""
		text = ""
		said = 0
	} else if (depth == -1) {
		depth = token == "(" ? 1 : 0
	} else if (depth > 0 && token ~ /^"/) {
		if (said < 2) {
			text = text substr(token, 2, length(token) - 2)
			gsub(/\\"/, "\"", text)
			said = 1
		}
	} else if (depth > 0) {
		if (token == "NOTE_INFO" || token == "NOTE_TRACE")
			level = "quiet"
		if (said == 1 && token ~ /^(,|\)|:)$/ && level == "") {
			flush_text()
			said = token == ":" || depth > 1 ? 0 : 2
		} else if (said == 1 && token ~ /^PRI/) {
			text = text "\001"
		}
		depth += token == "("
		depth -= token == ")"
	}
}
BEGIN {
	calls = "^(error_(set|sys|wrap)|note|problem|refused?|misfit|condemn_liar)$"
}
FNR == 1 { depth = 0; comment = 0 }
/^#/ { next }
{
	s = $0
	while (s ~ /[^ \t]/) {
		if (comment) {
			if (!match(s, /\*\//))
				break
			s = substr(s, RSTART + 2)
			comment = 0
		} else if (s ~ /^[ \t]*\/\*/) {
			sub(/\/\*/, "", s)
			comment = 1
		} else {
			next_token()
			take()
		}
	}
}
END

cat > "$work/match.awk" <<'END'
# Reads the entries, then the texts; tells what has no partner.
function explains(entry, t,    n, i, piece, at) {
	n = split(entry, piece, /\.\.\./)
	for (i = 1; i <= n; i++) {
		at = piece[i] == "" ? 1 : index(t, piece[i])
		if (at == 0 || (i == 1 && at > 1))
			return 0
		t = substr(t, at + length(piece[i]))
	}
	return 1
}
NR == FNR {
	entries[++count] = $0
	next
}
{
	place = substr($0, 1, index($0, ":") - 1)
	t = substr($0, index($0, ":") + 1)
	for (i = 1; i <= count; i++)
		if (explains(entries[i], t))
			found = used[i] = 1
	if (!found)
		print "unexplained: " place ": " t
	found = 0
}
END {
	for (i = 1; i <= count; i++)
		if (!used[i])
			print "nobody says: " entries[i]
}
END

(cd "$top_srcdir/src" && awk -f "$work/texts.awk" *.c) > "$work/texts"
sed -n '/^\.It / { s///; s/\\&//g; p; }' "$page" > "$work/entries"
ok "there are texts to explain" test "$(wc -l < "$work/texts")" -gt 200
ok "there are entries" test "$(wc -l < "$work/entries")" -gt 100
awk -f "$work/match.awk" "$work/entries" "$work/texts" | tr '\001' % > "$work/faults"
same "every text is explained, and every entry explains one" "$(cat "$work/faults")" ""

# It can go red.
printf 'x.c:the moon is \001 tonight\n' > "$work/more"
printf 'the sun is ... tonight\n' > "$work/false"
cat "$work/entries" "$work/false" > "$work/all"
cat "$work/texts" "$work/more" > "$work/every"
same "what is missing on either side is seen" \
	"$(awk -f "$work/match.awk" "$work/all" "$work/every" | tr '\001' % | grep -E 'sun|moon')" \
	"unexplained: x.c: the moon is % tonight
nobody says: the sun is ... tonight"
finish
