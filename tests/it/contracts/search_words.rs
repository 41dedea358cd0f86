//! The words of texts are those that OpenSearch makes of them (storage §4.2): the embedded engine takes texts apart by itself.

use convoke::search::analysis;
use serde_json::json;

use crate::opensearch_support::OpenSearchHarness;

/// Texts of every kind that could be taken apart differently.
const TEXTS: &[&str] = &[
    "Réunion d'équipe",
    "l'été",
    "Grüße aus der Straße, GRÜẞE",
    "Łódź İstanbul ISTANBUL ıki Smørrebrød Ærøskøbing œuvre",
    "Zu\u{308}rich Zürich",
    "来週の企画会議(東京)",
    "カタカナ テスト ひらがな ｶﾀｶﾅ",
    "ประชุมทีมขาย และ ເຈົ້າ ភាសាខ្មែរ မြန်မာ",
    "회의를 준비",
    "Ｍeeting２ ①② x² ½ ﬁn ª º µ",
    "foo_bar __ _x 3.14 1,000 1;000 a-b e-mail",
    "it's don’t O'Neil 'quoted' U.S.A. i.e. 10:30 12/05/2026 a:b:c",
    "C++ #tag @user a&b AT&T 50% $5 €10",
    "the quick and THE slow of it",
    "👍 party ❤️ 👩‍👩‍👧 🇫🇷",
    "क्षत्रिय हिन्दी שלום עולם عربي Москва й ё Αθήνα ά",
    "bob@partner.example bob@example.org, <carol@sub.example.co.uk>; dave+x_y@example.com.",
    "foo.bar@x.io,baz@y.de;qux@z.fr",
    "see http://visio.example.org/abc?x=1#f, HTTPS://Example.org or www.example.org/path. done",
    "example.com:8080 example.org. http://intranet/page ftp://a.b/c mailto:bob@example.org meeting.notes/abc",
    "https://visio.example.org:8443/room/a%20b?c=d&e=f (10.0.0.1/x) file:///etc/hosts",
    "(http://a.b/c) http://a.b/c(d)e http://a.b/c,d;e http://a.b/c?q=(x),y#z'w# http://user:pw@host.example/x http://a.b/c%2",
    "a.b.c x.y 1.2.3 v1.2 node.js",
    "à 14\u{202f}h\u{202f}30, réunion\u{202f}: budget \u{202f} \u{202f}x 𑌓\u{202f}",
    "tab\tnew\nline\u{a0}space\u{200b}zero\u{ad}soft",
    "",
    "  ",
    "!!! … —",
];

#[tokio::test]
async fn texts_fall_apart_as_in_the_cluster() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let long = format!("{} {}", "x".repeat(300), "é".repeat(260));
    let mut differing = Vec::new();
    for text in TEXTS.iter().copied().chain([long.as_str()]) {
        let with_gaps = |text| analysis::words_with_addresses(text).into_iter().flatten().collect();
        let ours: [(&str, Vec<String>); 6] = [
            ("standard", analysis::words(text)),
            ("calendar_event_location_analyzer", analysis::words(text)),
            ("calendar_event_keep_mail_and_url_analyzer", with_gaps(text)),
            ("calendar_event_summary_prefix_analyzer", analysis::beginnings(text)),
            ("calendar_event_cn_name_search_analyzer", analysis::words_both_spellings(text)),
            ("calendar_event_summary_search_prefix_analyzer", analysis::whole_both_spellings(text)),
        ];
        for (analyzer, ours) in ours {
            let path = format!("/{}/_analyze", harness.name("events"));
            let (status, answer) = harness.ask("POST", &path, &json!({"analyzer": analyzer, "text": text})).await;
            assert_eq!(status, 200, "{answer}");
            let tokens = answer["tokens"].as_array().unwrap().iter();
            let theirs: Vec<&str> = tokens.map(|token| token["token"].as_str().unwrap()).collect();
            if ours != theirs {
                differing.push(format!("{analyzer}: {text:?}\n  ours   {ours:?}\n  theirs {theirs:?}"));
            }
        }
    }
    assert!(differing.is_empty(), "{} differ\n{}", differing.len(), differing.join("\n"));
}
