//! Shell: `start/NODE.sh`, which does all the work of a node, and what the scripts share. Plain bash, run by services
//! and by hand alike; no template engine reads them.

use banyan_control::layout::Program;
use banyan_control::roster::Role;

use super::plan::{Plan, Planned};
use super::{File, HERE, MEDIA, STATE, program};
use crate::model::{HTTP, NodeKind};

/// One script for every node with addresses.
pub(super) fn start(plan: &Plan<'_>) -> Vec<File> {
    let nodes = plan
        .nodes
        .iter()
        .filter(|node| node.node.kind != NodeKind::Switch);
    nodes
        .map(|node| {
            program(
                &format!("start/{}.sh", node.node.name),
                node_script(plan, node),
            )
        })
        .collect()
}

fn node_script(plan: &Plan<'_>, planned: &Planned<'_>) -> String {
    let node = planned.node;
    let what = match &node.member {
        Some(member) => format!(", member {member}"),
        None => String::new(),
    };
    let mut out = format!(
        "#!/usr/bin/env bash\n# {} ({:?}{what}): start/{}.sh {}\nset -euo pipefail\nhere=$(cd \"$(dirname \"$0\")/..\" && pwd)\nnode={}\n. \"$here/lib.sh\"\n\nroutes() {{\n",
        node.name,
        node.kind,
        node.name,
        "routes | run | view | capture | check WORD | stop WORD",
        node.name
    );
    for route in &node.routes {
        let family = if route.to.address.is_ipv6() {
            "ip -6"
        } else {
            "ip"
        };
        out += &format!(
            "  {family} route replace {} via {} dev {}\n",
            route.to, route.via, route.interface
        );
    }
    out += "  :\n}\n\nrun() {\n";
    match planned.member {
        Some(member) => out += &run(plan, member),
        None => out += "  echo \"no member runs on $node\" >&2\n  exit 64\n",
    }
    out += "}\n\nview() {\n";
    out += &view(plan, planned);
    let listen = planned
        .member
        .and_then(|member| address_of(plan, &member.name));
    let listen = listen.map_or("''".to_owned(), |address| format!("{address} {HTTP}"));
    out += &format!("}}\n\nlistens() {{\n  listening {listen}\n}}\n\nmain \"$@\"\n");
    out
}

/// The member's command as the layout has it; what comes before it in the order of starts is waited for.
fn run(plan: &Plan<'_>, member: &banyan_control::layout::Member) -> String {
    let mut out = String::new();
    for before in before(plan, member.role) {
        if let Some(address) = address_of(plan, before) {
            out += &format!("  wait_for {before} {address} {HTTP}\n");
        }
    }
    let name = match member.program {
        Program::Control => "banyan",
        Program::Relay => "banyan-relay",
        Program::Origin => "banyan-origin",
    };
    let environment: String = member
        .environment
        .iter()
        .map(|(key, value)| format!("{key}={} ", word(value)))
        .collect();
    let words: Vec<String> = member
        .arguments
        .iter()
        .map(|argument| word(argument))
        .collect();
    out += &format!(
        "  mkdir -p \"$state/record\" \"$state/cache/\"{}\n  {environment}start_program {name} \\\n    {}\n",
        word(&member.name),
        words.join(" ")
    );
    out
}

/// Members that are up before one of a role starts: control, a root, the tier above.
fn before<'a>(plan: &'a Plan<'_>, role: Role) -> Vec<&'a str> {
    let members = &plan.source.layout.members;
    let first = |wanted: &[Role]| {
        let mut of = members
            .iter()
            .filter(|member| wanted.contains(&member.role));
        of.next().map(|member| member.name.as_str())
    };
    let wanted: &[&[Role]] = match role {
        Role::Control => &[],
        Role::Origin => &[&[Role::Control]],
        Role::Root => &[&[Role::Control], &[Role::Origin]],
        Role::Relay => &[&[Role::Root]],
        Role::Edge => &[&[Role::Root], &[Role::Relay]],
    };
    wanted.iter().filter_map(|roles| first(roles)).collect()
}

fn view(plan: &Plan<'_>, planned: &Planned<'_>) -> String {
    if planned.node.watches.is_empty() || planned.edges.is_empty() {
        return "  echo \"nobody watches on $node\" >&2\n  exit 64\n".to_owned();
    }
    let mut out = String::new();
    for stream in &planned.node.watches {
        let urls: Vec<String> = planned
            .edges
            .iter()
            .filter_map(|edge| address_of(plan, edge))
            .map(|address| format!("http://{address}:{HTTP}/{stream}/index.m3u8"))
            .collect();
        if let Some(address) = planned
            .edges
            .first()
            .and_then(|edge| address_of(plan, edge))
        {
            out += &format!("  wait_for_stream {address} {HTTP} {stream}\n");
        }
        out += &format!("  play {stream} {}\n", urls.join(" "));
    }
    out + "  wait\n"
}

fn address_of(plan: &Plan<'_>, member: &str) -> Option<String> {
    let place = plan.source.network.members.get(member)?;
    Some(place.address.to_string())
}

/// A word of a command: placeholders become variables, all else is literal.
pub(super) fn word(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let found = [(HERE, "here"), (MEDIA, "media"), (STATE, "state")]
            .into_iter()
            .filter_map(|(placeholder, name)| Some((rest.find(placeholder)?, placeholder, name)))
            .min();
        let (plain, after) = match found {
            Some((at, placeholder, name)) => {
                (&rest[..at], Some((&rest[at + placeholder.len()..], name)))
            }
            None => (rest, None),
        };
        out += &literal(plain);
        rest = match after {
            Some((after, name)) => {
                out += &format!("\"${name}\"");
                after
            }
            None => "",
        };
    }
    match out.is_empty() {
        true => "''".to_owned(),
        false => out,
    }
}

fn literal(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=,@".contains(c);
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

pub(super) fn env(plan: &Plan<'_>) -> String {
    ENV.replace("@topology@", &plan.source.network.topology)
}

pub(super) fn library() -> String {
    LIBRARY.to_owned()
}

pub(super) fn term() -> String {
    TERM.to_owned()
}

pub(super) fn setup(folder: &str) -> String {
    SETUP.replace("@folder@", folder)
}

const ENV: &str = r#"# Settings of topology @topology@, read by every script. A variable that is set already stands.

# Folder of banyan, banyan-relay and banyan-origin; without it bin/ of this export, else the path.
: "${BANYAN_BIN:=}"
# Where paths of contents begin.
: "${BANYAN_MEDIA:=$here/media}"
# What a run leaves: logs, records, prepared assets, captures, and the secret that its members share.
: "${BANYAN_STATE:=$here/run}"
# Seconds that a start waits for who comes before it, and a viewer for its stream; 0 = not at all.
: "${BANYAN_WAIT:=120}"
# How much members say.
: "${RUST_LOG:=info}"
"#;

const LIBRARY: &str = r#"# What start/NODE.sh scripts share. $here and $node are set.
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
"#;

const TERM: &str = r#"#!/usr/bin/env bash
# ./term NODE [COMMAND…]: a shell, or a command, on a node of the running CORE session.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "which node? one of:" $(cd "$here/start" && ls | sed 's/\.sh$//') >&2; exit 64; }
node=$1
shift
sockets=()
for socket in "${TMPDIR:-/tmp}"/pycore.*/"$node"; do
  [ ! -S "$socket" ] || sockets+=("$socket")
done
case ${#sockets[@]} in
  0) echo "no CORE session has a node $node; start one with scenario.py or core-gui" >&2; exit 1 ;;
  1) ;;
  *) echo "several CORE sessions have a node $node: ${sockets[*]}; end all but one" >&2; exit 1 ;;
esac
[ $# -gt 0 ] || set -- bash
exec vcmd -c "${sockets[0]}" -- "$@"
"#;

const SETUP: &str = r#"#!/usr/bin/env bash
# ./setup: says what CORE needs to know of this folder; run it again when the folder has moved.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
was="@folder@"
if [ "$here" != "$was" ]; then
  sed -i "s|\"$was/icons/|\"$here/icons/|g" "$here/scenario.xml"
  sed -i "s|^was=.*|was=\"$here\"|" "$here/setup"
  echo "icons of scenario.xml are looked for in $here/icons now"
fi
echo "In core.conf (often /opt/core/etc/core.conf), section [core-daemon]:"
echo
echo "  custom_services_dir = $here/banyan_services"
echo
echo "then restart core-daemon (sudo systemctl restart core-daemon). It reads one export at a time: another one needs"
echo "its own line and another restart. Members' programs: put them into $here/bin, set BANYAN_BIN in $here/env, or export"
echo "with --bundle."
"#;
