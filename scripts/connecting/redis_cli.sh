#!/usr/bin/env bash
# redis-cli over TLS. It checks the server's certificate, but not its name.
set -euo pipefail
ca=(--cacert "$CLIENT_DIR/ca.crt")
anna=(--cert "$CLIENT_DIR/anna.crt" --key "$CLIENT_DIR/anna.key")
nobody=(--cert "$CLIENT_DIR/nobody.crt" --key "$CLIENT_DIR/nobody.key")
cli() { redis-cli -h localhost --tls "$@" 2>&1 || true; }

is() { [[ $2 == "$3" ]] || { echo "$1: $2 instead of $3" >&2; exit 1; }; }
has() { [[ $2 == *"$3"* ]] || { echo "$1: $2, without $3" >&2; exit 1; }; }

at() { cli -p "$CLIENT_PORT" "$@"; }
demanding() { cli -p "$CLIENT_PORT_DEMANDING" "$@"; }

is "as a user" "$(at "${ca[@]}" --user anna --pass pw --no-auth-warning set app:cli 1)" OK
has "another's key" "$(at "${ca[@]}" --user anna --pass pw --no-auth-warning get other)" NOPERM
has "a wrong password" "$(at "${ca[@]}" --user anna --pass no --no-auth-warning get app:cli)" WRONGPASS
has "no login" "$(at "${ca[@]}" get app:cli)" NOAUTH
has "another authority" "$(at --cacert "$CLIENT_DIR/other-ca.crt" ping)" "certificate verify failed"
is "by a certificate" "$(at "${ca[@]}" "${anna[@]}" acl whoami)" anna
has "a certificate of no user" "$(at "${ca[@]}" "${nobody[@]}" ping)" NOAUTH
is "a certificate and a password" "$(at "${ca[@]}" "${nobody[@]}" --user anna --pass pw --no-auth-warning get app:cli)" 1
is "a certificate that is demanded" "$(demanding "${ca[@]}" "${anna[@]}" ping)" PONG
# A refusal is an alert, of which redis-cli says as little as that the connection ended.
[[ $(demanding "${ca[@]}" ping) != PONG ]] || { echo "served without a certificate" >&2; exit 1; }
redis-cli --version
