#!/usr/bin/env bash
# Sends a push with redis-cli and jq, and prints its report: producer.sh REQUEST.json
#
# BROKER_URL         the workers' Redis, redis://USER:PASSWORD@HOST:PORT/0
# PRODUCER           the name by which the workers know this producer, if they ask for signatures
# PRODUCER_KEY_FILE  its key, of at most 64 bytes
#
# It ends with 0 if all tags moved, with 1 if some did not, with 2 if there is no report: the request was refused.
set -euo pipefail
export LC_ALL=C

task=imagepusher.push.v1
queue=imagepusher.push
id=$(cat /proc/sys/kernel/random/uuid)

# Whoever lists processes sees their arguments, but not their environment: the password goes there.
user=()
if [[ $BROKER_URL =~ ^(rediss?://)([^:@/]*):([^@/]*)@(.*)$ ]]; then
  BROKER_URL=${BASH_REMATCH[1]}${BASH_REMATCH[4]}
  [[ -z ${BASH_REMATCH[2]} ]] || user=(--user "${BASH_REMATCH[2]}")
  export REDISCLI_AUTH=${BASH_REMATCH[3]}
fi
redis() { redis-cli -e -u "$BROKER_URL" "${user[@]}" "$@"; }

# bytes HEX: write these bytes.
bytes() {
  local place
  for ((place = 0; place < ${#1}; place += 2)); do printf '%b' "\\x${1:place:2}"; done
}

# hmac FILE: print the HMAC-SHA256 of stdin by the key in a file, which openssl would want among its arguments.
hmac() {
  local key inner='' outer='' byte hex number
  key=$(<"$1")
  ((${#key} <= 64)) || { echo "$1 has more than 64 bytes." >&2; return 2; }
  for ((number = 0; number < 64; number++)); do
    byte=0
    ((number >= ${#key})) || printf -v byte %d "'${key:number:1}"
    printf -v hex %02x $((byte ^ 0x36))
    inner+=$hex
    printf -v hex %02x $((byte ^ 0x5c))
    outer+=$hex
  done
  hex=$({ bytes "$inner"; cat; } | sha256sum)
  hex=$({ bytes "$outer"; bytes "${hex%% *}"; } | sha256sum)
  printf %s "${hex%% *}"
}

body="[[$(cat "$1")], {}, {}]"
signature=
if [[ -n ${PRODUCER-} ]]; then
  now=$(date +%s)
  signature=$PRODUCER:$now:$(printf '%s\n%s\n%s\n%s' "$now" "$task" "$id" "$body" | hmac "$PRODUCER_KEY_FILE")
fi
printf %s "$body" | base64 -w 0 | jq --raw-input --compact-output \
  --arg task "$task" --arg id "$id" --arg queue "$queue" --arg signature "$signature" '{
    body: ., "content-encoding": "utf-8", "content-type": "application/json",
    headers: ({task: $task, id: $id} + if $signature == "" then {} else {imagepusher_signature: $signature} end),
    properties: {
      body_encoding: "base64", delivery_tag: $id, delivery_info: {exchange: "", routing_key: $queue}
    }
  }' | redis -x LPUSH "imagepusher:$queue" >/dev/null

for ((tries = 0; tries < 7200; tries++)); do
  result=$(redis GET "imagepusher:celery-task-meta-$id")
  status=$(jq --raw-output '.status // ""' <<<"${result:-null}")
  [[ $status != SUCCESS && $status != FAILURE ]] || break
  sleep 0.5
done

# Of a push that failed the result is an error: its arguments are a summary and the report.
if [[ $(jq --raw-output '.result.exc_type? // ""' <<<"$result") =~ ^(|PushFailed)$ ]]; then
  jq --compact-output '.result | if .exc_type then .exc_message[1] else . end' <<<"$result"
  jq --exit-status '.status == "SUCCESS" and .result.state == "succeeded"' <<<"$result" >/dev/null || exit 1
else
  jq --raw-output '.result | "\(.exc_type): \(.exc_message | map(tostring) | join(" "))"' <<<"$result" >&2
  exit 2
fi
