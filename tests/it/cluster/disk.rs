//! A disk that is full, under the embedded engines. The limit is the system's own (RLIMIT_FSIZE), so that writes really fail.

use super::*;

/// Octets that each file may have.
const LIMIT: u64 = 6 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    let installation = Installation::embedded().await;
    let mut limited = Command::new("sh");
    // The signal that comes with the limit is ignored, so that the write fails instead; dash counts blocks of 512 octets.
    let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$@\"", LIMIT / 512);
    limited.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_convoke")]);
    let node = installation.start_with("one", limited).await;

    let mut acknowledged = Vec::new();
    let mut refused = None;
    for n in 0..400 {
        let uid = format!("full-{n}");
        let padding = "X-PADDING:".to_owned() + &"0123456789".repeat(6) + "\r\n";
        let event = invitation(&uid, "Full", &[]).replace("SUMMARY", &(padding.repeat(600) + "SUMMARY"));
        let status = node.put(ALICE, &format!("{uid}.ics"), &event).await;
        if !status.is_success() {
            refused = Some(status);
            break;
        }
        acknowledged.push((uid, event));
    }
    let refused = refused.expect("the limit is reached");
    assert!(refused == 507 || refused == 503, "{refused}");
    assert!(acknowledged.len() > 10);

    // Reading goes on, and nothing that was acknowledged is gone.
    for (uid, _) in &acknowledged {
        let answer = node.ask(ALICE, "GET", &format!("{}{uid}.ics", ALICE.calendar()), &[], "").await;
        assert_eq!(answer.status(), 200, "{uid}");
    }

    // There is room again: it works again, without a restart.
    let pid = node.pid().to_string();
    let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
    assert!(lifted.success());
    eventually("writes again", async || {
        (node.put(ALICE, "room.ics", &invitation("room", "Room", &[BOB.mail])).await == 201).then_some(())
    })
    .await;
    eventually("bob's copy", async || node.find(BOB, "room").await).await;

    // And what was acknowledged is really on the disk.
    node.kill();
    let node = installation.start("one").await;
    for (uid, event) in acknowledged {
        let answer = node.ask(ALICE, "GET", &format!("{}{uid}.ics", ALICE.calendar()), &[], "").await;
        let stored = String::from_utf8(answer.body().to_vec()).unwrap();
        assert_eq!(stored.matches("X-PADDING").count(), event.matches("X-PADDING").count(), "{uid}");
    }
}
