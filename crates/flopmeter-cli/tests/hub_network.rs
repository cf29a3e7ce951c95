//! A Hub id that is neither cached nor built in is read from the Hub: short files, and headers by ranges.

mod run;
mod server;

use run::tensors::{BYTES, Tensor, file, index, llama};
use run::{LLAMA, Place, Report, Run};
use server::{COMMIT, File, Hub, Reply, Seen, Server};
use std::io::Write;
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{fs, thread};

const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
const TOKEN: &str = "hf_aSecretThatNobodySees";
const NOT_THE_HUB: &str =
    "a proxy or a login page may have answered in its place; see HF_ENDPOINT and HTTPS_PROXY";

/// `estimate` of a model, asking a server.
fn command(place: &Place, server: &Server, model: &str) -> Command {
    let mut command = place.command();
    command.args(["estimate", model, "-p", "10", "--format", "json"]);
    command.env_remove("HF_HUB_OFFLINE").env("HF_ENDPOINT", &server.address);
    command
}

fn estimate(hub: &Hub, model: &str) -> Run {
    Run::of(&mut command(&Place::new(), &hub.server, model))
}

/// Fails with this message, where `HOST` is the Hub's host and `CDN` the other's.
#[track_caller]
fn fails(hub: &Hub, model: &str, message: &str) {
    let message = message.replace("HOST", hub.server.host()).replace("CDN", hub.cdn.host());
    for with_token in [false, true] {
        let place = Place::new();
        let mut command = command(&place, &hub.server, model);
        if with_token {
            command.env("HF_TOKEN", TOKEN);
        }
        let run = Run::of(&mut command);
        assert!(run.taken < Duration::from_secs(10), "{:?}", run.taken);
        let (said, _) = run.failure();
        assert!(!said.contains(TOKEN) && !said.contains("Signature"), "{said}");
        assert_eq!(said, message);
    }
}

fn config() -> (&'static str, File) {
    ("config.json", File::text(LLAMA))
}

/// [`LLAMA`] in one file.
fn whole() -> [(&'static str, File); 2] {
    [config(), ("model.safetensors", File::large(file(&llama(2))))]
}

/// The same in two files and their index.
fn sharded() -> [(&'static str, File); 4] {
    let all = llama(2);
    let (first, second) = all.split_at(9);
    let index = index(&[(SHARDS[0], first), (SHARDS[1], second)]);
    [
        config(),
        ("model.safetensors.index.json", File::text(index)),
        (SHARDS[0], File::large(file(first))),
        (SHARDS[1], File::large(file(second))),
    ]
}

#[test]
fn config_and_headers_are_read_and_no_weight() {
    for files in [&whole()[..], &sharded()] {
        let hub = Hub::of(files);
        let place = Place::new();
        let run = Run::of(&mut command(&place, &hub.server, "org/name"));
        let report: Report = run.json();
        assert_eq!(report.model.id, "org/name");
        assert_eq!(report.model.parameters.total, 74_560);
        assert_eq!(report.bytes.weights, BYTES);
        let bytes = hub.server.sent() + hub.cdn.sent();
        let requests = hub.server.seen().len() + hub.cdn.seen().len();
        let host = hub.server.host();
        assert_eq!(
            report.notes[0],
            format!(
                "read from {host} at commit {COMMIT} (revision main): {requests} requests, {bytes} bytes; none \
                 of it is kept"
            )
        );
        assert!(
            report.notes[1].starts_with("shapes and widths of 21 tensors"),
            "{:?}",
            report.notes
        );
        // All that is read after the first request is read at the commit that it named.
        assert!(hub.server.paths()[1..].iter().all(|path| path.contains(COMMIT)));
        assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 0, "something is kept");
    }
}

#[test]
fn a_range_that_is_too_short_is_completed() {
    // Names that the index has do not fill the first range; here they are longer than 64 KiB in all.
    let mut all = llama(2);
    let (mut header, size) = file(&all);
    let blank = 100_000;
    let length = header.len() - 8 + blank;
    header.resize(8 + length, b' ');
    header[..8].copy_from_slice(&(length as u64).to_le_bytes());
    let hub =
        Hub::of(&[config(), ("model.safetensors", File::large((header, size + blank as u64)))]);
    let report: Report = estimate(&hub, "org/name").json();
    assert_eq!(report.bytes.weights, BYTES);
    let ranges: Vec<String> =
        hub.cdn.seen().iter().map(|seen| seen.headers["range"].clone()).collect();
    assert_eq!(ranges, ["bytes=0-65535".to_owned(), format!("bytes=65536-{}", 7 + length)]);
    // A tensor more than the config has is named, as in a folder.
    all.push(("model.layers.2.mlp.up_proj.weight".into(), "BF16", 2, vec![96, 64]));
    let hub = Hub::of(&[config(), ("model.safetensors", File::large(file(&all)))]);
    let report: Report = estimate(&hub, "org/name").json();
    assert!(report.notes.iter().any(|note| note.contains("[96, 64] is in no count")));
}

#[test]
fn what_lies_beside_a_config_is_read_and_what_does_not_is_not_asked_for() {
    let quantization = File::text(r#"{"quantization": {"quant_algo": "FP8"}}"#);
    let hub =
        Hub::of(&[config(), ("hf_quant_config.json", quantization), ("x.bin", File::text("x"))]);
    let report: Report = estimate(&hub, "org/name").json();
    assert!(report.bytes.weights < 2 * 74_560, "{}", report.bytes.weights);
    let hub = Hub::of(&[config()]);
    let report: Report = estimate(&hub, "org/name").json();
    assert_eq!(report.bytes.weights, 2 * 74_560);
    assert_eq!(hub.server.seen().len(), 3);
}

#[test]
fn two_hundred_files_are_read_at_once() {
    // 3 tensors outside, 9 in each of 221 layers: 1992 in files of 10.
    let all = llama(221);
    let chunks: Vec<&[Tensor]> = all.chunks(10).collect();
    let name = |at: usize| format!("model-{:05}-of-{:05}.safetensors", at + 1, chunks.len());
    let names: Vec<String> = (0..chunks.len()).map(name).collect();
    let shards: Vec<(&str, &[Tensor])> =
        names.iter().map(String::as_str).zip(chunks.iter().copied()).collect();
    let config = LLAMA.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 221");
    let mut files = vec![
        ("config.json", File::text(config)),
        ("model.safetensors.index.json", File::text(index(&shards))),
    ];
    files.extend(shards.iter().map(|(name, tensors)| (*name, File::large(file(tensors)))));
    let hub = Hub::of(&files);
    let run = estimate(&hub, "org/name");
    let taken = run.taken;
    let report: Report = run.json();
    // 30,848 a layer, 12,864 outside.
    assert_eq!(report.model.parameters.total, 221 * 30_848 + 12_864);
    // A description, two short files that are sent on once, and a request and its redirect for each.
    assert_eq!(hub.server.seen().len(), 1 + 2 + 2 + shards.len());
    assert_eq!((hub.cdn.seen().len(), shards.len()), (200, 200));
    // Eight at once, each on a connection that is used again.
    let connections = [hub.server.connections(), hub.cdn.connections()];
    assert!(connections.iter().all(|count| *count <= 8), "{connections:?}");
    println!("{} files: {taken:?}, {}", shards.len(), report.notes[0]);
    assert!(taken < Duration::from_secs(10), "{taken:?}");
}

#[test]
fn headers_of_gguf_files_are_read() {
    let (keys, all) = (run::gguf::keys(), run::gguf::tensors());
    let whole = File::large(run::gguf::file(&keys, &all));
    let hub = Hub::of(&[("name-Q8_0.gguf", whole.clone()), ("README.md", File::text("x"))]);
    for model in
        ["org/name", "org/name:q8_0", "hf.co/org/name:Q8_0", "org/name@v1.0:name-Q8_0.gguf"]
    {
        let report: Report = estimate(&hub, model).json();
        assert_eq!(report.model.parameters.total, 74_560);
        assert_eq!(report.bytes.weights, run::gguf::BYTES);
        assert!(report.notes[0].starts_with("read from 127.0.0.1:"), "{:?}", report.notes);
    }
    // The vocabulary of 40,000 texts of 7 bytes and their lengths goes on after the first range.
    let ranges: Vec<String> =
        hub.cdn.seen()[..2].iter().map(|seen| seen.headers["range"].clone()).collect();
    assert_eq!(ranges[0], "bytes=0-262143");
    assert!(ranges[1].starts_with("bytes=262144-"), "{ranges:?}");
    // Of several, one is named.
    let split = |at: u32, tensors| {
        let numbers = [("split.no", at), ("split.count", 2)];
        let numbers = numbers.map(|(key, value)| run::gguf::number(key, value));
        let keys = if at == 0 { [&keys[..], &numbers].concat() } else { numbers.to_vec() };
        File::large(run::gguf::file(&keys, tensors))
    };
    let parts = [
        ("BF16/name-BF16-00001-of-00002.gguf", split(0, &all[..9])),
        ("BF16/name-BF16-00002-of-00002.gguf", split(1, &all[9..])),
        ("config.json", File::text(LLAMA)),
        ("name-Q8_0.gguf", whole),
    ];
    let hub = Hub::of(&parts);
    let report: Report = estimate(&hub, "org/name:BF16").json();
    assert_eq!(report.bytes.weights, run::gguf::BYTES);
    assert!(report.notes[1].contains("of 2 GGUF files"), "{:?}", report.notes);
    assert_eq!(estimate(&hub, "org/name").json::<Report>().bytes.weights, 2 * 74_560);
    let hub = Hub::of(&[parts[0].clone(), parts[1].clone(), parts[3].clone()]);
    let (message, candidates) = estimate(&hub, "org/name").failure();
    assert_eq!(message, "`org/name`: has 2 models in GGUF; say which one, after a colon");
    assert_eq!(candidates, ["  org/name:BF16", "  org/name:Q8_0"]);
    let (message, candidates) = estimate(&hub, "org/name:Q4_K_M").failure();
    assert_eq!(message, "`org/name`: has no GGUF file `Q4_K_M`");
    assert_eq!(candidates, ["  org/name:BF16", "  org/name:Q8_0"]);
    let cut = Hub::of(&[parts[0].clone()]);
    fails(
        &cut,
        "org/name",
        &format!("`org/name`: {}: is not there, and {} is one of 2 files", parts[1].0, parts[0].0),
    );
}

#[test]
fn revisions_are_asked_for_by_name() {
    let hub = Hub::of(&[config()]);
    for (revision, path) in
        [("v1.0", "v1.0"), ("refs/pr/3", "refs%2Fpr%2F3"), (COMMIT, COMMIT), ("main", "main")]
    {
        let report: Report = estimate(&hub, &format!("org/name@{revision}")).json();
        assert!(report.notes[0].contains(&format!("(revision {revision})")), "{:?}", report.notes);
        let asked = format!("/api/models/org/name/revision/{path}?expand=sha&expand=siblings");
        assert!(hub.server.paths().contains(&asked), "{:?}", hub.server.paths());
    }
    fails(
        &hub,
        "org/name@v2",
        "`org/name`: has no revision `v2` on HOST; give a branch, a tag or the hash of a commit, or leave the \
         revision out",
    );
}

#[test]
fn what_is_cached_or_built_in_is_not_asked_for() {
    let hub = Hub::of(&[config()]);
    let id = "meta-llama/Llama-3.1-8B";
    let report: Report = estimate(&hub, id).json();
    assert_eq!(report.model.parameters.total, 8_030_261_248);
    let place = Place::new();
    let snapshot = place.path().join(".cache/huggingface/hub/models--org--name");
    fs::create_dir_all(snapshot.join("refs")).expect("a folder");
    fs::create_dir_all(snapshot.join("snapshots").join(COMMIT)).expect("a folder");
    fs::write(snapshot.join("refs/main"), COMMIT).expect("a file");
    let config = snapshot.join("snapshots").join(COMMIT).join("config.json");
    fs::write(&config, LLAMA).expect("a file");
    for model in ["org/name", "org/name@main"] {
        Run::of(&mut command(&place, &hub.server, model)).ok();
    }
    assert!(hub.server.seen().is_empty(), "{:?}", hub.server.seen());
    // A snapshot of a tokenizer alone is of no use, and no obstacle.
    fs::remove_file(config).expect("a file");
    let report: Report = Run::of(&mut command(&place, &hub.server, "org/name")).json();
    let last = report.notes.iter().find(|note| note.starts_with("the local cache is left aside: "));
    assert!(last.is_some_and(|note| note.ends_with("config.json is not in the snapshot")));
    // With a revision the Hub is asked for a model that is built in, too.
    let (message, _) = estimate(&hub, &format!("{id}@main")).failure();
    assert!(message.starts_with("`meta-llama/Llama-3.1-8B`: does not exist on 127."), "{message}");
}

#[test]
fn variables_forbid_it() {
    let hub = Hub::of(&[config()]);
    for (variable, model, fact) in [
        ("HF_HUB_OFFLINE", "org/name", "`org/name`: is no model that is built in; nearest: "),
        (
            "TRANSFORMERS_OFFLINE",
            "org/name@v1.0",
            "`org/name`: has no revision `v1.0` in the local cache; ",
        ),
    ] {
        let place = Place::new();
        let mut command = command(&place, &hub.server, model);
        let (message, _) = Run::of(command.env(variable, "1")).failure();
        assert!(message.starts_with(fact), "{message}");
        let hint = format!("; {variable} is set: without it the Hub is asked");
        assert!(message.ends_with(&hint), "{message}");
    }
    assert!(hub.server.seen().is_empty());
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_else() {
    let home = |path: &str| {
        let place = Place::new();
        let path = place.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, format!("{TOKEN}\n")).expect("a file");
        place
    };
    let cases = [
        (Place::new(), vec![("HF_TOKEN", TOKEN)], true),
        (Place::new(), vec![("HUGGING_FACE_HUB_TOKEN", TOKEN)], true),
        (home("t/secret"), vec![("HF_TOKEN_PATH", "~/t/secret")], true),
        (home("hf/token"), vec![("HF_HOME", "~/hf")], true),
        (home(".cache/huggingface/token"), Vec::new(), true),
        (Place::new(), vec![], false),
        (Place::new(), vec![("HF_TOKEN", "")], false),
        (Place::new(), vec![("HF_TOKEN", TOKEN), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")], false),
    ];
    for (place, variables, sent) in cases {
        let hub = Hub::of(&sharded());
        let mut command = command(&place, &hub.server, "org/name");
        let out = Run::of(command.envs(variables.iter().copied())).ok();
        assert!(!out.contains(TOKEN));
        let token = |seen: &Seen| seen.headers.get("authorization").cloned();
        let wanted = sent.then(|| format!("Bearer {TOKEN}"));
        assert!(hub.server.seen().iter().all(|seen| token(seen) == wanted), "{variables:?}");
        assert_eq!(hub.cdn.seen().len(), 2);
        for seen in hub.cdn.seen() {
            assert!(!format!("{seen:?}").contains(TOKEN), "{seen:?}");
        }
    }
}

/// A Hub that refuses the description, or the config, with one answer.
fn refusing(config: bool, reply: Reply) -> Hub {
    Hub::but(&whole(), move |seen| {
        let is_config = seen.path.ends_with("/config.json");
        (is_config == config).then(|| reply.clone())
    })
}

#[test]
fn repositories_that_are_refused() {
    let run = |config: bool, (status, code, message): (u16, &str, &str), token: bool| {
        let hub = refusing(config, Reply::refusal(status, code, message));
        let place = Place::new();
        let mut command = command(&place, &hub.server, "org/name");
        if token {
            command.env("HF_TOKEN", TOKEN);
        }
        let (said, _) = Run::of(&mut command).failure();
        assert!(!said.contains(TOKEN), "{said}");
        said.replace(hub.server.host(), "HOST")
    };
    let log_in = "set HF_TOKEN, or `hf auth login`";
    let gated = (403, "GatedRepo", "Access to model org/name is restricted");
    assert_eq!(
        run(true, (401, gated.1, gated.2), false),
        format!(
            "`org/name`: is gated on HOST, and no token was sent; ask for access on http://HOST/org/name, then \
             {log_in}"
        )
    );
    assert_eq!(
        run(true, gated, true),
        "`org/name`: is gated on HOST, and the token of HF_TOKEN has no access; ask for access on \
         http://HOST/org/name"
    );
    let missing = run(false, (401, "RepoNotFound", "Invalid username or password."), false);
    let start = format!(
        "`org/name`: does not exist on HOST, or is private; check the name; if it is private, {log_in}; \
         there is no such folder here either; nearest: "
    );
    assert!(missing.starts_with(&start), "{missing}");
    let missing = run(false, (404, "RepoNotFound", "Repository not found"), true);
    let start = "`org/name`: does not exist on HOST, or the token may not see it; check the name; there is no \
                 such folder here either; nearest: ";
    assert!(missing.starts_with(start), "{missing}");
    assert_eq!(
        run(false, (401, "", "Invalid credentials in Authorization header"), true),
        "`org/name`: HOST does not accept the token of HF_TOKEN; make a token anew: `hf auth login`, or unset it \
         if the repository is public"
    );
    // A server may send back what it was sent.
    assert_eq!(
        run(true, (403, "", &format!("Forbidden for {TOKEN}: no read")), true),
        "`org/name`: config.json: may not be read from HOST: Forbidden for [token]: no read; give the token the right to \
         read it; a fine-grained one has none by itself"
    );
    for (status, code) in [(404, "EntryNotFound"), (404, "")] {
        let said = run(true, (status, code, "Entry not found"), false);
        assert!(said.starts_with("`org/name`: config.json: is not "), "{said}");
    }
    assert!(run(true, (400, "", ""), false).starts_with(&format!(
        "`org/name`: config.json: HOST answers with status 400; {NOT_THE_HUB}"
    )));
}

#[test]
fn repositories_without_a_config() {
    let hub = Hub::of(&[("README.md", File::text("nothing"))]);
    fails(&hub, "org/name", "`org/name`: has neither a config.json nor a GGUF file");
}

/// A Hub that describes its repository only after it has answered otherwise so many times.
fn busy(times: usize, reply: Reply) -> Hub {
    let count = AtomicUsize::new(0);
    Hub::but(&whole(), move |seen| {
        let first = seen.path.starts_with("/api/models");
        let first = first && count.fetch_add(1, Ordering::Relaxed) < times;
        first.then(|| reply.clone())
    })
}

/// Without an end to its text, which is said to be longer.
fn cut() -> Reply {
    Reply { stated: Some(1000), ..Reply::json("{\"sha\":") }
}

#[test]
fn it_is_asked_again_where_that_may_help() {
    for reply in [Reply::new(503, ""), Reply::new(429, "").with("Retry-After", "1"), cut()] {
        estimate(&busy(1, reply), "org/name").ok();
    }
}

#[test]
fn it_is_not_asked_for_ever() {
    let said = |reply: Reply, requests: usize| {
        let hub = busy(usize::MAX, reply);
        let (said, _) = estimate(&hub, "org/name").failure();
        assert_eq!(hub.server.seen().len(), requests);
        said.replace(hub.server.host(), "HOST")
    };
    let message = said(Reply::new(429, "").with("Retry-After", "287"), 1);
    assert!(
        message.starts_with(
            "`org/name`: HOST allows no more requests for now (status 429); try again in 287 s; with a token \
             more are allowed: set HF_TOKEN, or `hf auth login`"
        ),
        "{message}"
    );
    let message = said(Reply::new(429, "").with("RateLimit", "\"api\";r=0;t=55"), 1);
    assert!(message.contains("; try again in 55 s; "), "{message}");
    let message = said(Reply::new(502, ""), 3);
    assert!(
        message.starts_with("`org/name`: HOST answers with status 502; try again later"),
        "{message}"
    );
    let message = said(cut(), 3);
    assert!(message.starts_with("`org/name`: HOST breaks off its answer: "), "{message}");
}

#[test]
fn hubs_that_are_not_reached() {
    let place = Place::new();
    let said = |endpoint: &str| {
        let mut command = place.command();
        command.args(["estimate", "org/name", "-p", "1"]).env_remove("HF_HUB_OFFLINE");
        command.env("HF_ENDPOINT", endpoint).env("HF_HUB_ETAG_TIMEOUT", "1");
        command.env("HF_TOKEN", TOKEN);
        let run = Run::of(&mut command);
        assert!(run.taken < Duration::from_secs(8), "{:?}", run.taken);
        run.failure().0
    };
    let check = "; check the network, HF_ENDPOINT and HTTPS_PROXY; nearest: ";
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = port.local_addr().expect("an address");
    drop(port);
    let refused = said(&format!("http://{address}"));
    let start = format!("`org/name`: {address} refuses the connection{check}");
    assert!(refused.starts_with(&start), "{refused}");
    let unknown = said("http://no-such-host.invalid");
    assert!(unknown.starts_with("`org/name`: no-such-host.invalid is not "), "{unknown}");
    assert!(unknown.contains(check), "{unknown}");
    let silent = Server::start(|_| Reply { delay: Duration::from_secs(60), ..Reply::new(200, "") });
    let late = said(&silent.address);
    let start = format!(
        "`org/name`: {} does not answer in time (1 s); check the network, or wait longer with \
         HF_HUB_ETAG_TIMEOUT; nearest: ",
        silent.host()
    );
    assert!(late.starts_with(&start), "{late}");
    // No TLS is spoken there.
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = plain.local_addr().expect("an address");
    thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let insecure = said(&format!("https://{address}"));
    let start = format!("`org/name`: no secure connection to {address}: ");
    assert!(insecure.starts_with(&start), "{insecure}");
    assert!(insecure.contains("with SSL_CERT_FILE"), "{insecure}");
    assert_eq!(
        said("huggingface.co"),
        "HF_ENDPOINT: is \"huggingface.co\", no address of a Hub; give one such as https://huggingface.co"
    );
}

#[test]
fn files_that_are_late() {
    let minute = Duration::from_secs(60);
    // Nothing comes, or nothing more.
    let silent = Reply { delay: minute, ..Reply::new(200, "{") };
    let stalled = Reply { stall: minute, stated: Some(1000), ..Reply::new(200, "{") };
    for reply in [silent, stalled] {
        let hub = refusing(true, reply);
        let place = Place::new();
        let mut command = command(&place, &hub.server, "org/name");
        let run = Run::of(command.env("HF_HUB_DOWNLOAD_TIMEOUT", "1"));
        assert!(run.taken < Duration::from_secs(5), "{:?}", run.taken);
        assert_eq!(
            run.failure().0,
            format!(
                "`org/name`: config.json: {} does not answer in time (1 s); check the network, or wait longer with \
                 HF_HUB_DOWNLOAD_TIMEOUT",
                hub.server.host()
            )
        );
    }
}

#[test]
fn a_proxy_is_used_where_the_variables_say_so() {
    let inner = Hub::of(&[config()]);
    let address = inner.server.address.clone();
    // A proxy that is the Hub as soon as it is asked to connect to it.
    let proxy =
        Hub::but(&[config()], |seen| (seen.method == "CONNECT").then(|| Reply::new(200, "")));
    let run = |variable: &str, endpoint: &str, without: &str| {
        let place = Place::new();
        let mut command = command(&place, &inner.server, "org/name");
        command.env("HF_ENDPOINT", endpoint).env("NO_PROXY", without);
        Run::of(command.env(variable, &proxy.server.address))
    };
    for variable in ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"] {
        run(variable, "http://no-such-host.invalid", "").ok();
        assert_eq!(proxy.server.seen()[0].path, "no-such-host.invalid:80");
    }
    let asked = proxy.server.seen().len();
    run("HTTPS_PROXY", &address, "127.0.0.1").ok();
    assert_eq!(proxy.server.seen().len(), asked);
    assert!(!inner.server.seen().is_empty());
}

#[test]
fn a_proxy_that_refuses_is_named_without_its_password() {
    let proxy = Server::start(|_| Reply::new(407, ""));
    let hub = Hub::of(&[config()]);
    let place = Place::new();
    let mut command = command(&place, &hub.server, "org/name");
    let address = proxy.address.replace("http://", "http://me:swordfish@");
    let (said, _) = Run::of(command.env("HTTP_PROXY", address)).failure();
    assert!(!said.contains("swordfish"), "{said}");
    let start = format!(
        "`org/name`: {} (through the proxy {}) is not reached: proxy server responded 407",
        hub.server.host(),
        proxy.host()
    );
    assert!(said.starts_with(&start), "{said}");
    assert_eq!(proxy.seen()[0].method, "CONNECT");
    assert!(hub.server.seen().is_empty());
}

#[test]
fn answers_that_are_no_answer() {
    let html = "HOST answers with a page of HTML, not with what was asked for";
    let said = |hub: &Hub| {
        let (said, _) = estimate(hub, "org/name").failure();
        said.replace(hub.server.host(), "HOST").replace(hub.cdn.host(), "CDN")
    };
    let hub = refusing(false, Reply::html(200));
    assert!(said(&hub).starts_with(&format!("`org/name`: {html}; {NOT_THE_HUB}; nearest: ")));
    let hub = refusing(true, Reply::html(200));
    assert!(said(&hub).starts_with(&format!("`org/name`: config.json: {html}; {NOT_THE_HUB}")));
    let endless = Reply { stated: None, zeros: u64::MAX, ..Reply::new(200, "{") };
    let hub = refusing(true, endless);
    let most = "6291456";
    assert!(said(&hub).starts_with(&format!(
        "`org/name`: config.json: HOST sends more than {most} bytes, the most that are read; "
    )));
    let hub =
        refusing(true, Reply { stated: Some(1 << 40), zeros: u64::MAX, ..Reply::new(200, "{") });
    assert!(said(&hub).starts_with(&format!(
        "`org/name`: config.json: HOST has 1099511627776 bytes; the longest that is read is {most}; "
    )));
    assert!(hub.server.sent() < 32 << 20, "{}", hub.server.sent());
    for text in ["[]", "{}", r#"{"sha": 1, "siblings": []}"#] {
        let hub = refusing(false, Reply::json(text));
        assert!(said(&hub).starts_with("`org/name`: HOST describes it in no way that is known; "));
    }
    let hub = refusing(false, Reply::json(r#"{"sha": "../..", "siblings": []}"#));
    assert!(
        said(&hub)
            .starts_with("`org/name`: HOST says that it is at `../..`, no hash of a commit; ")
    );
    let hub = refusing(true, Reply::new(200, "{\"a\": "));
    assert_eq!(
        said(&hub),
        "`org/name`: config.json: line 1, column 6: is not JSON: EOF while parsing a value; it is cut off: fetch the \
         model's config.json again"
    );
    let hub = refusing(true, Reply::new(200, b"\xFF"));
    assert!(said(&hub).starts_with("`org/name`: config.json: byte 0: is not UTF-8 text"));
    let hub = refusing(true, Reply::new(204, ""));
    assert!(said(&hub).starts_with("`org/name`: config.json: HOST answers with status 204; "));
}

/// A network for large files that answers in one way.
fn large(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Hub {
    Hub::but(&whole(), move |seen| seen.path.starts_with("/large/").then(|| reply(seen)))
}

#[test]
fn ranges_that_are_not_kept() {
    let part = |range: &str, length: u64| {
        let range = range.to_owned();
        large(move |_| {
            Reply { stated: Some(length), zeros: length, ..Reply::new(206, "") }
                .with("Content-Range", range.clone())
        })
    };
    let place = "`org/name`: model.safetensors";
    let ignored = large(|_| Reply { stated: Some(1 << 40), zeros: 1 << 40, ..Reply::new(200, "") });
    fails(
        &ignored,
        "org/name",
        &format!(
            "{place}: CDN does not send parts of files, and whole ones are not read; {NOT_THE_HUB}"
        ),
    );
    assert!(ignored.cdn.sent() < 32 << 20, "{}", ignored.cdn.sent());
    for range in
        ["", "bytes 1-65536/4000000", "bytes 0-65536/4000000", "bytes 0-9/*", "bytes 0-9/4000000"]
    {
        let wrong = format!("sends the range \"{range}\" where bytes 0-65535 were asked for");
        fails(&part(range, 10), "org/name", &format!("{place}: CDN {wrong}; {NOT_THE_HUB}"));
    }
    fails(
        &part("bytes 0-65535/4000000", 65_537),
        "org/name",
        &format!("{place}: CDN says that it sends 65536 bytes and sends more; {NOT_THE_HUB}"),
    );
    fails(
        &part("bytes 0-65535/4000000", 100),
        "org/name",
        &format!("{place}: CDN says that it sends 65536 bytes and sends 100; {NOT_THE_HUB}"),
    );
    let expired = large(|_| Reply::new(403, "<Error><Code>AccessDenied</Code></Error>"));
    fails(
        &expired,
        "org/name",
        &format!(
            "{place}: CDN answers with status 403; try again: the Hub gave an address there, which may have expired"
        ),
    );
}

#[test]
fn headers_that_are_none() {
    let place = "`org/name`: model.safetensors: byte 0";
    let with = |first: Vec<u8>, size: u64| {
        Hub::of(&[config(), ("model.safetensors", File::large((first, size)))])
    };
    let length = |length: u64| length.to_le_bytes().to_vec();
    fails(
        &with(length(u64::MAX), 1 << 40),
        "org/name",
        &format!(
            "{place}: the header is said to have 18446744073709551615 bytes; the format allows 100000000; is it a \
             safetensors file at all?"
        ),
    );
    fails(
        &with(length(90_000_000), 1 << 40),
        "org/name",
        &format!(
            "{place}: the header has 90000000 bytes; the longest that is read is 7340032; give the config.json \
             alone"
        ),
    );
    fails(
        &with(length(5_000_000), 1000),
        "org/name",
        &format!(
            "{place}: the header has 5000000 bytes, the whole file 1000; the file is cut off: fetch it again"
        ),
    );
    let zeros = with(length(1000), 1 << 40);
    let (said, _) = estimate(&zeros, "org/name").failure();
    assert!(said.starts_with("`org/name`: model.safetensors: "), "{said}");
}

#[test]
fn indices_that_name_what_is_not_there() {
    let all = llama(2);
    let with = |index: String| {
        let files = [
            config(),
            ("model.safetensors.index.json", File::text(index)),
            (SHARDS[0], File::large(file(&all))),
        ];
        Hub::of(&files)
    };
    let index_place = "`org/name`: model.safetensors.index.json";
    for name in ["../other/model.safetensors", "/etc/passwd", "http://evil/x", ".."] {
        fails(
            &with(index(&[(name, &all[..1])])),
            "org/name",
            &format!(
                "{index_place}: tensor `model.norm.weight`: lies in `{name}`, which is no file beside the index"
            ),
        );
    }
    fails(
        &with(index(&[(SHARDS[0], &all[1..]), (SHARDS[1], &all[..1])])),
        "org/name",
        &format!(
            "`org/name`: {}: is not in the repository, but the index has tensor `model.norm.weight` in it",
            SHARDS[1]
        ),
    );
    fails(
        &with(index(&[(SHARDS[0], &all[1..])])),
        "org/name",
        &format!(
            "`org/name`: {}: tensor `model.norm.weight`: is in the file, but not in the index",
            SHARDS[0]
        ),
    );
}

#[test]
fn ways_that_lead_nowhere() {
    let config = "`org/name`: config.json";
    let to = |location: &'static str| refusing(true, Reply::onward(302, location));
    let round = to(concat!(
        "/org/name/resolve/",
        "0123456789abcdef0123456789abcdef01234567",
        "/config.json"
    ));
    let (said, _) = estimate(&round, "org/name").failure();
    assert_eq!(said, format!("{config}: sends one on more than 10 times"));
    assert_eq!(round.server.seen().len(), 1 + 11);
    for location in ["", "file:///etc/passwd", "config.json", "http://a b/"] {
        fails(
            &to(location),
            "org/name",
            &format!("{config}: HOST sends one on to what is no address"),
        );
    }
}
