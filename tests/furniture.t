#!/bin/sh
# SPDX-License-Identifier: MIT
# furniture.t - what stands around the program: the completions of bash, zsh and fish offer what it
# really takes, the systemd units are understood by systemd, and the examples by mailhaul.
#
# What is not installed is skipped with a word (Debian: zsh, fish, systemd).
. "$top_srcdir/tests/tap.sh"

completion=$top_srcdir/contrib/completion
home=$work/home
HOME=$home
PATH=$work/bin:$PATH
unset XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME
export HOME PATH
mkdir -p "$work/bin" "$home/.config/mailhaul" "$home/Letters"

# Runs of the completions see the program itself; any other leaves its arguments behind.
cat > "$work/bin/mailhaul" <<END
#!/bin/sh
case " \$* " in
*" --help "* | *" --list-accounts "*) exec '$MAILHAUL' "\$@" ;;
esac
printf '%s\n' "\$*" >> '$work/called'
END
chmod 755 "$work/bin/mailhaul"
for name in work wold joe@example.org; do
	printf '[%s]\nhost = pop.example.org\nuser = joe\nmaildir = ~/Mail\n' $name
done > "$home/.config/mailhaul/config"
printf '[other]\nhost = pop.example.org\nuser = joe\nmaildir = ~/Mail\n' > "$home/second"
chmod 600 "$home/.config/mailhaul/config" "$home/second"

missing() {
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP it is not installed"
}

# What there is to be offered, by the help.
mailhaul --help > "$work/help"
sed -n '/^Account options/q; s/^  \(-.\)\{0,1\},\{0,1\} *\(--[a-z-]*\) .*/\1 \2/p' "$work/help" |
	tr ' ' '\n' | grep . | sort > "$work/flags"
grep '^--' "$work/flags" > "$work/long"
sed -n '/^Account options/,/^Options of the run/s/^  \([a-z][a-z0-9_]*\) .*/\1=/p' "$work/help" |
	grep -vx -e password= -e auto= | sort > "$work/keys"
ok "the help has options to offer" grep -qx -e --list-accounts "$work/long"
ok "and settings" grep -qx keep= "$work/keys"

# -- bash -------------------------------------------------------------------------------------

# The words as bash's own parser would part them, $2 is what readline would replace.
cat > "$work/complete.bash" <<'END'
. "$1/mailhaul"
complete -p mailhaul >/dev/null || exit
COMP_LINE=$2 COMP_POINT=${#2}
read -ra COMP_WORDS <<<"$2"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_mailhaul mailhaul "$3" "${COMP_WORDS[COMP_CWORD - 1]}"
[[ ${#COMPREPLY[@]} = 0 ]] || printf '%s\n' "${COMPREPLY[@]}"
END

# in_bash LINE LAST WANT
in_bash() {
	same "bash: $1" "$(bash --norc "$work/complete.bash" "$completion" "$1" "$2" 2>&1 | sort |
		xargs)" "$3"
}

if command -v bash >/dev/null; then
	in_bash 'mailhaul -' - "$(xargs < "$work/flags")"
	in_bash 'mailhaul --list-a' --list-a --list-accounts
	in_bash 'mailhaul ' '' "joe@example.org wold work"
	in_bash 'mailhaul -k -v wor' wor work
	in_bash 'mailhaul joe@ex' @ex @example.org
	in_bash 'mailhaul -f ~/second ' '' other
	in_bash "mailhaul --config=$home/second o" o other
	in_bash 'mailhaul -o ' '' "$(xargs < "$work/keys")"
	in_bash 'mailhaul -o keep=' '' "no yes"
	in_bash 'mailhaul --option=tls=s' s stls
	in_bash 'mailhaul -o auth=oa' oa oauthbearer
	in_bash 'mailhaul --option kee' kee keep=
	in_bash 'mailhaul -j ' '' ""
	in_bash 'mailhaul --keep=' '' ""
	in_bash 'mailhaul --maildir ' '' ""
else
	missing bash
fi

# -- fish -------------------------------------------------------------------------------------

# in_fish LINE WANT
in_fish() {
	same "fish: $1" "$(fish --no-config -c "set fish_complete_path '$completion'
		complete -C '$1'" 2>&1 | cut -f 1 | sort | xargs)" "$2"
}

if command -v fish >/dev/null; then
	in_fish 'mailhaul --' "$(xargs < "$work/long")"
	in_fish 'mailhaul --list-a' --list-accounts
	in_fish 'mailhaul w' "wold work"
	in_fish 'mailhaul joe@ex' joe@example.org
	in_fish 'mailhaul -f ~/second o' other
	in_fish "mailhaul --config=$home/second o" other
	in_fish 'mailhaul -o keep=' "keep= keep=no keep=yes"
	in_fish 'mailhaul --option tls=s' tls=stls
	in_fish 'mailhaul -o auth=oa' auth=oauthbearer
	in_fish "mailhaul -o maildir=$home/Lett" "maildir=$home/Letters/"
	in_fish 'mailhaul -j ' ""
else
	missing fish
fi

# -- zsh --------------------------------------------------------------------------------------

# A zsh at a terminal of its own, driven by another: the line is what TAB made of it.
cat > "$work/complete.zsh" <<'END'
zmodload zsh/zpty || exit
zpty child zsh -f -i
answer() { zpty -r -m child text "*$1*"; }
zpty -w child "unset zle_bracketed_paste; PROMPT= LISTMAX=1000; fpath=('$1' \$fpath)
autoload -Uz compinit; compinit -u -D; echo rea''dy"
answer ready
zpty -w -n child "$2"$'\t\n'"echo do''ne"$'\n'
answer done
zpty -d child
END

# in_zsh LINE WANT
in_zsh() {
	: > "$work/called"
	TERM=dumb zsh -f "$work/complete.zsh" "$completion" "$1" >/dev/null 2>&1
	same "zsh: $1" "$(cat "$work/called")" "$2"
}

if command -v zsh >/dev/null; then
	in_zsh 'mailhaul --list-acc' ""
	in_zsh 'mailhaul --retr' "--retry"
	in_zsh 'mailhaul wor' "work"
	in_zsh 'mailhaul joe@' "joe@example.org"
	in_zsh 'mailhaul -f ~/second o' "-f $home/second other"
	in_zsh 'mailhaul -o kee' "-o keep="
	in_zsh 'mailhaul -o tls=st' "-o tls=stls"
	in_zsh 'mailhaul -o auth=oa' "-o auth=oauthbearer"
	in_zsh 'mailhaul --option=keep=y' "--option=keep=yes"
	in_zsh "mailhaul --maildir $home/Lett" "--maildir $home/Letters"
else
	missing zsh
fi

# -- systemd ----------------------------------------------------------------------------------

units=$top_srcdir/contrib/systemd
mkdir -m 700 "$work/units" "$work/runtime"
sed "s|@bindir@|$work/bin|" "$units/mailhaul.service.in" > "$work/units/mailhaul.service"
cp "$units/mailhaul.timer" "$work/units"

# Its words alone are to be judged, not what else is on this machine.
understood() {
	XDG_RUNTIME_DIR=$work/runtime SYSTEMD_UNIT_PATH=$work/units: systemd-analyze verify --user \
		--man=no "$work/units/mailhaul.service" "$work/units/mailhaul.timer" 2>&1 |
		grep mailhaul
	test $? = 1
}

if command -v systemd-analyze >/dev/null; then
	ok "systemd understands the units" understood
	ok "the timer's calendar has a next time" systemd-analyze calendar \
		"$(sed -n 's/^OnCalendar=//p' "$units/mailhaul.timer")"
else
	missing systemd-analyze
fi
built=$top_builddir/contrib/systemd/mailhaul.service
[ ! -e "$built" ] || ok "the unit knows where the program will be" grep -q '^ExecStart=/' "$built"
same "waiting is no failure there" "$(grep -c '^SuccessExitStatus=75$' \
	"$work/units/mailhaul.service")" 1

# -- the examples -----------------------------------------------------------------------------

# mdas.t runs them.
cp "$top_srcdir/contrib/examples/config" "$work/config"
chmod 600 "$work/config"
ok "the example of a configuration is one" "$MAILHAUL" -f "$work/config" --print-config
ok "and no account of it is without an MDA" sh -c "'$MAILHAUL' -f '$work/config' --print-config |
	awk '/^\[/ && !/mailhaul\]/ { n++ } /^mda(_shell)? =/ { n-- } END { exit n != 0 }'"
finish
