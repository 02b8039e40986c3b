#!/usr/bin/env bash
# One Apache Kafka node (KRaft, broker and controller in one process) for the tests that need a real broker.
#
#   kafka.sh start [port] [dir]   resolve the jars (Maven, once), start, wait until it answers, print what `env` prints
#   kafka.sh stop [dir]           clean shutdown; the data stays
#   kafka.sh kill [dir]           kill -9; the data stays
#   kafka.sh restart [dir]        stop, then start on the same ports with the same data
#   kafka.sh wipe [dir]           stop and delete the folder
#   kafka.sh env [dir]            the variables that the tests read, for: eval "$(.ci/kafka.sh env)"
#
# Listeners: port plaintext, +1 controller, +2 TLS, +3 SASL, +4 SASL over TLS. SASL takes PLAIN, SCRAM-SHA-256 and
# SCRAM-SHA-512 as user nudge with the password nudge-secret; the certificate is self-signed and lies in the folder.
# Without a port a free range is looked for; without a folder it is one under the temporary folder.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lib=$here/cache/kafka
user=nudge
password=nudge-secret

die() {
  echo "kafka.sh: $*" >&2
  exit 1
}

in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_ports() {
  local try port i
  for try in $(seq 50); do
    port=$((20000 + RANDOM % 10000))
    for i in 0 1 2 3 4; do
      in_use $((port + i)) && continue 2
    done
    echo "$port"
    return
  done
  die "no five free ports in a row between 20000 and 30000 after $try tries; name one: kafka.sh start PORT"
}

running() { [[ -f $dir/pid ]] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

resolve() {
  [[ -f $lib/.complete ]] && return
  command -v mvn >/dev/null || die "mvn is missing; install maven (apt-get install maven) or run .ci/run, which does it"
  mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib" -DincludeScope=runtime >&2
  touch "$lib/.complete"
}

tool() {
  local class=$1
  shift
  java -cp "$lib/*" -Dlog4j2.configurationFile="$here/kafka/log4j2.xml" "$class" "$@"
}

configure() {
  mkdir -p "$dir"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
    -keyout "$dir/key.pem" -out "$dir/ca.pem" 2>/dev/null
  cat "$dir/key.pem" "$dir/ca.pem" >"$dir/broker.pem"
  local jaas=org.apache.kafka.common.security
  cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1)),TLS://127.0.0.1:$((port + 2)),SASL://127.0.0.1:$((port + 3)),SASLTLS://127.0.0.1:$((port + 4))
advertised.listeners=PLAINTEXT://127.0.0.1:$port,TLS://127.0.0.1:$((port + 2)),SASL://127.0.0.1:$((port + 3)),SASLTLS://127.0.0.1:$((port + 4))
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,TLS:SSL,SASL:SASL_PLAINTEXT,SASLTLS:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
$(for listener in sasl sasltls; do
    echo "listener.name.$listener.plain.sasl.jaas.config=$jaas.plain.PlainLoginModule required user_$user=\"$password\";"
    for scram in scram-sha-256 scram-sha-512; do
      echo "listener.name.$listener.$scram.sasl.jaas.config=$jaas.scram.ScramLoginModule required;"
    done
  done)
ssl.keystore.type=PEM
ssl.keystore.location=$dir/broker.pem
log.dirs=$dir/data
num.partitions=4
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.ms=-1
log.retention.bytes=-1
log.segment.bytes=268435456
log.cleaner.backoff.ms=200
num.network.threads=2
num.io.threads=4
PROPERTIES
  tool kafka.tools.StorageTool format --standalone -t "$(tool kafka.tools.StorageTool random-uuid)" -c "$dir/server.properties" \
    --add-scram "SCRAM-SHA-256=[name=$user,password=$password]" --add-scram "SCRAM-SHA-512=[name=$user,password=$password]" \
    >"$dir/format.log" 2>&1 || die "format failed: $(tail -3 "$dir/format.log")"
  echo "$port" >"$dir/port"
}

start() {
  resolve
  if running; then
    die "already runs with pid $(cat "$dir/pid") in $dir"
  fi
  if [[ ! -f $dir/port ]]; then
    port=${1:-$(free_ports)}
    configure
  fi
  port=$(cat "$dir/port")
  nohup java -Xms512m -Xmx1g -XX:+UseG1GC -cp "$lib/*" -Dlog4j2.configurationFile="$here/kafka/log4j2.xml" \
    kafka.Kafka "$dir/server.properties" >>"$dir/log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  local i
  for i in $(seq 900); do
    in_use "$port" && return
    running || die "the broker ended while it started, after $((i / 5)) s: $(tail -5 "$dir/log")"
    sleep 0.2
  done
  die "the broker does not answer on 127.0.0.1:$port after 180 s; see $dir/log"
}

# end SIGNAL waits until the broker is gone.
end() {
  running || return 0
  local pid
  pid=$(cat "$dir/pid")
  kill "-$1" "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  rm -f "$dir/pid"
}

print_env() {
  [[ -f $dir/port ]] || die "nothing was started in $dir; run: kafka.sh start"
  port=$(cat "$dir/port")
  cat <<ENV
export NUDGE_TEST_KAFKA=127.0.0.1:$port
export NUDGE_TEST_KAFKA_TLS=127.0.0.1:$((port + 2))
export NUDGE_TEST_KAFKA_SASL=127.0.0.1:$((port + 3))
export NUDGE_TEST_KAFKA_SASL_TLS=127.0.0.1:$((port + 4))
export NUDGE_TEST_KAFKA_CA=$dir/ca.pem
export NUDGE_TEST_KAFKA_USER=$user
export NUDGE_TEST_KAFKA_PASSWORD=$password
export NUDGE_TEST_KAFKA_RESTART="$here/kafka.sh restart $dir"
export NUDGE_TEST_KAFKA_KILL="$here/kafka.sh kill $dir"
ENV
}

verb=${1:-}
default=${TMPDIR:-/tmp}/nudge-kafka-$UID
case $verb in
start)
  dir=${3:-$default}
  start ${2:+"$2"}
  print_env
  ;;
stop | kill | restart | wipe | env)
  dir=${2:-$default}
  case $verb in
  stop) end TERM ;;
  kill) end KILL ;;
  restart)
    end TERM
    start
    ;;
  wipe)
    end TERM
    rm -rf "$dir"
    ;;
  env) print_env ;;
  esac
  ;;
*)
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
  ;;
esac
