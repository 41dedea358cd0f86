# Exim: a mail server that takes every mail it is given and keeps it in a maildir, for sending over SMTP. It refuses two
# recipients, unknown@… (550) and later@… (451), so that a real server's refusals are seen too.

install() {
  have openssl || need_packages openssl
  if uses_container exim4; then
    build_image 'apt-get update && apt-get install -y --no-install-recommends exim4-daemon-light'
  else
    have exim4 || need_packages exim4-daemon-light
  fi
}

start() {
  install
  choose_runner exim4 Debian-exim
  local relay tls submission
  relay=$(free_port)
  tls=$(free_port)
  submission=$(free_port)
  certificate
  mkdir -p "$DATA"/{spool,log,maildir/{new,cur,tmp}}
  configuration >"$DATA/exim.conf"
  hand_over "$DATA"/{spool,log,maildir,server.key}

  launch "${RUN[@]}" exim4 -C "$DATA/exim.conf" -bdf
  await 20 greets "$relay"
  await 20 greets "$submission"
  await 20 listens "$tls"

  publish CONVOKE_TEST_SMTP_EXIM "127.0.0.1:$relay"
  publish CONVOKE_TEST_SMTP_EXIM_TLS "127.0.0.1:$tls"
  publish CONVOKE_TEST_SMTP_EXIM_SUBMISSION "127.0.0.1:$submission"
  publish CONVOKE_TEST_SMTP_EXIM_MAILDIR "$DATA/maildir"
  publish CONVOKE_TEST_SMTP_EXIM_CA "$DATA/ca.pem"
  publish CONVOKE_TEST_SMTP_EXIM_USER convoke
  publish CONVOKE_TEST_SMTP_EXIM_PASSWORD secret
}

configuration() {
  cat <<CONF
primary_hostname = mail.example.org
# Neither root nor a name in the system's list of users is needed.
exim_user = $OWNER
exim_group = $GROUP
admin_groups = $GROUP
unknown_login = convoke
local_interfaces = 127.0.0.1
daemon_smtp_ports = $relay : $tls : $submission
tls_on_connect_ports = $tls
tls_advertise_hosts = *
tls_certificate = $DATA/server.pem
tls_privatekey = $DATA/server.key
auth_advertise_hosts = \${if def:tls_in_cipher {*}}
acl_smtp_mail = may_send
acl_smtp_rcpt = may_receive
spool_directory = $DATA/spool
log_file_path = $DATA/log/%s
deliver_drop_privilege = true
disable_ipv6 = true
host_lookup =
rfc1413_hosts =
message_size_limit = 50M
smtp_accept_max = 100
smtp_accept_max_per_connection = 100000
smtp_accept_queue_per_connection = 100000
keep_environment =

begin acl

may_send:
  require message = 530 authentication required
          condition = \${if or {{eq{\$received_port}{$relay}}{def:authenticated_id}}}
  accept

may_receive:
  deny  message = no such mailbox
        local_parts = unknown
  defer message = mailbox busy, try again later
        local_parts = later
  accept

begin routers

everyone:
  driver = accept
  transport = maildir

begin transports

maildir:
  driver = appendfile
  directory = $DATA/maildir
  maildir_format = true
  create_directory = false
  check_owner = false
  mode = 0644
  mode_fail_narrower = false
  return_path_add = true
  envelope_to_add = true
  delivery_date_add = true

begin retry

* * F,1h,1m

begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = \${if and {{eq{\$auth2}{convoke}}{eq{\$auth3}{secret}}}}
  server_set_id = \$auth2

login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = \${if and {{eq{\$auth1}{convoke}}{eq{\$auth2}{secret}}}}
  server_set_id = \$auth1
CONF
}
