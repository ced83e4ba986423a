# SPDX-License-Identifier: MIT
# MAILHAUL_FLAGS(VARIABLE, CFLAGS or LDFLAGS, FLAG...)
# Adds to VARIABLE each flag with which a program compiles and links without a warning, when it
# stands before the user's own CFLAGS or LDFLAGS, as Automake puts it.  Those are left alone.
AC_DEFUN([MAILHAUL_FLAGS],
[mailhaul_saved=$$2
for mailhaul_flag in $3; do
	AC_MSG_CHECKING([whether $CC takes $mailhaul_flag])
	$2="-Werror $mailhaul_flag $mailhaul_saved"
	AC_LINK_IFELSE([AC_LANG_PROGRAM()],
		[AC_MSG_RESULT([yes])
		AS_VAR_APPEND([$1], [" $mailhaul_flag"])],
		[AC_MSG_RESULT([no])])
done
$2=$mailhaul_saved])
