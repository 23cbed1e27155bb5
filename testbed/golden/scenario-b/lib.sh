# What start/NODE.sh scripts share. $here and $node are set.
. "$here/env"
media=$BANYAN_MEDIA state=$BANYAN_STATE
export RUST_LOG

say() { echo "$node: $*" >&2; }

# One secret per run, made by whoever comes first.
secret() {
  local file=$state/secret new
  if [ ! -s "$file" ]; then
    new=$(mktemp "$state/secret.XXXXXX")
    od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n' > "$new"
    ln "$new" "$file" 2>/dev/null || true
    rm -f "$new"
  fi
  cat "$file"
}

find_program() {
  local folder
  for folder in "$BANYAN_BIN" "$here/bin"; do
    if [ -n "$folder" ] && [ -x "$folder/$1" ]; then
      echo "$folder/$1"
      return
    fi
  done
  command -v "$1" || { say "$1 is neither in BANYAN_BIN, in $here/bin nor on the path"; exit 1; }
}

listening() { [ -n "${1:-}" ] && timeout 2 bash -c "exec 3<> /dev/tcp/$1/$2" 2>/dev/null; }

# Whether the edge at address $1, port $2, offers stream $3.
offered() {
  timeout 5 bash -c 'exec 3<> "/dev/tcp/$0/$1" && printf "GET /$2/index.m3u8 HTTP/1.0\r\nHost: $0\r\n\r\n" >&3 &&
    read -r _ code _ <&3 && [ "$code" = 200 ]' "$1" "$2" "$3" 2>/dev/null
}

# Runs a test until it succeeds, for $1 seconds at most; $2 names what is waited for.
patiently() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until [ "$SECONDS" -ge "$end" ] || "$@"; do sleep 0.5; done
  [ "$SECONDS" -lt "$end" ] || [ "$BANYAN_WAIT" = 0 ] || say "$what is not there yet; going on"
}

# Members find each other in any order; this only keeps the first lines of their logs calm.
wait_for() { patiently $((BANYAN_WAIT < 10 ? BANYAN_WAIT : 10)) "$1" listening "$2" "$3"; }

# A stream is offered once its first segments are prepared; a viewer that comes earlier is sent away.
wait_for_stream() { patiently "$BANYAN_WAIT" "stream $3" offered "$1" "$2" "$3"; }

# Output goes to a file: CORE would wait for whoever holds its own.
start_program() {
  local program
  program=$(find_program "$1")
  shift
  BANYAN_RUN_SECRET=$(secret)
  export BANYAN_RUN_SECRET
  exec "$program" "$@" < /dev/null >> "$state/logs/$node.log" 2>&1
}

play() {
  local program first=$node-$1 name=$node-$1 number=1
  program=$(find_program banyan)
  shift
  mkdir -p "$state/viewers"
  # One that came before keeps its report.
  while [ -e "$state/viewers/$name.json" ]; do
    number=$((number + 1))
    name=$first.$number
  done
  "$program" play "$@" --for "${BANYAN_WATCH_FOR:-24h}" --json --trace "$state/viewers/$name.csv" \
    < /dev/null > "$state/viewers/$name.json" 2>> "$state/logs/$node.log" &
}

capture() {
  local interface
  mkdir -p "$state/captures"
  for interface in $(ip -o link show | awk -F': ' '{ sub(/@.*/, "", $2); if ($2 != "lo") print $2 }'); do
    tcpdump -U -n -s 256 -i "$interface" -w "$state/captures/$node-$interface.pcap" \
      < /dev/null > /dev/null 2>> "$state/logs/$node.log" &
  done
  wait
}

# Whether what WORD started still lives; a member also listens.
alive() {
  local pid
  pid=$(cat "$state/pids/$node.$1" 2>/dev/null) && kill -0 "$pid" 2>/dev/null
}

check() {
  case $1 in
    routes) : ;;
    run) alive run && listens ;;
    *) alive "$1" ;;
  esac
}

# Asks it and its children to leave.
stop() {
  local pid
  pid=$(cat "$state/pids/$node.$1" 2>/dev/null) || return 0
  rm -f "$state/pids/$node.$1"
  # A viewer that is interrupted writes its report; a member sees to its own children.
  case $1 in
    view) pkill -INT -P "$pid" || true ;;
    capture) pkill -TERM -P "$pid" || true ;;
  esac
  kill "$pid" 2>/dev/null || true
}

main() {
  mkdir -p "$state/logs" "$state/pids" "$here/media"
  case ${1:-} in
    routes) routes ;;
    run | view | capture)
      echo $$ > "$state/pids/$node.$1"
      "$1"
      ;;
    check | stop)
      [ -n "${2:-}" ] || { say "$1 what? routes, run, view or capture is accepted"; exit 64; }
      "$1" "$2"
      ;;
    *)
      say "${1:-nothing} is asked; routes, run, view, capture, check WORD and stop WORD are accepted"
      exit 64
      ;;
  esac
}
