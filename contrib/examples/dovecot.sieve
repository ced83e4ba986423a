# SPDX-License-Identifier: MIT
# dovecot.sieve - an example of ~/.dovecot.sieve (RFC 5228): a list into its own folder, and the
# rest into the inbox.
require ["fileinto", "mailbox"];

if header :contains "List-Id" "<friends.example.org>" {
	fileinto :create "friends";
}
