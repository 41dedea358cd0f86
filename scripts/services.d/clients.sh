# The client programs of tests/clients: vdirsyncer, the caldav library and litmus. Nothing is started.

install() {
  python_tools
  need_packages litmus
}

start() {
  install
  publish CONVOKE_TEST_PYTHON "$PYTHON"
  publish CONVOKE_TEST_VDIRSYNCER "${PYTHON%/*}/vdirsyncer"
}
