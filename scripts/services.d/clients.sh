# The client programs of tests/clients: vdirsyncer and the caldav library. Nothing is started.

install() { python_tools; }

start() {
  python_tools
  publish CONVOKE_TEST_PYTHON "$PYTHON"
  publish CONVOKE_TEST_VDIRSYNCER "${PYTHON%/*}/vdirsyncer"
}
