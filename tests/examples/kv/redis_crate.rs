//! The crate `redis`, a client that this project did not write.

use std::collections::{HashMap, HashSet};

use redis::{Commands, ExistenceCheck, SetExpiry, SetOptions};

use super::program::Kv;

fn client(kv: &Kv, resp3: bool) -> redis::Connection {
    let version = if resp3 { "?protocol=resp3" } else { "" };
    let client = redis::Client::open(format!("redis://{}/{version}", kv.address)).unwrap();
    client.get_connection().expect("the server takes connections")
}

#[test]
fn the_redis_crate_sets_reads_counts_and_scans() {
    for (shards, resp3) in [(1, false), (1, true), (2, false), (2, true)] {
        let kv = Kv::on(shards);
        let mut client = client(&kv, resp3);
        let () = redis::cmd("FLUSHALL").query(&mut client).unwrap();
        let () = client.set("a", "1").unwrap();
        assert_eq!(client.get::<_, i64>("a").unwrap(), 1);
        assert_eq!(client.get::<_, Option<String>>("b").unwrap(), None);
        assert_eq!(client.incr::<_, _, i64>("a", 41).unwrap(), 42);
        assert_eq!(client.append::<_, _, i64>("a", "x").unwrap(), 3);
        let options = SetOptions::default()
            .conditional_set(ExistenceCheck::NX)
            .with_expiration(SetExpiry::EX(100));
        assert!(client.set_options::<_, _, bool>("c", "2", options.clone()).unwrap());
        assert!(!client.set_options::<_, _, bool>("c", "3", options).unwrap());
        assert!((1..=100).contains(&client.ttl::<_, i64>("c").unwrap()));
        let () = client.mset(&[("k:1", "1"), ("k:2", "2")]).unwrap();
        let values: Vec<Option<String>> = client.mget(&["k:2", "none", "k:1"]).unwrap();
        assert_eq!(values, [Some("2".to_owned()), None, Some("1".to_owned())]);
        let keys: HashSet<String> =
            client.scan_match::<_, String>("k:*").unwrap().map(Result::unwrap).collect();
        assert_eq!(keys, HashSet::from(["k:1".to_owned(), "k:2".to_owned()]));
        let settings: HashMap<String, String> =
            redis::cmd("CONFIG").arg("GET").arg("appendonly").query(&mut client).unwrap();
        assert_eq!(settings["appendonly"], "no");
        let error = client.incr::<_, _, i64>("a", 1).unwrap_err();
        assert!(error.to_string().contains("not an integer"), "{error}");
        assert_eq!(client.del::<_, i64>(&["a", "c", "none"]).unwrap(), 2);
    }
}

#[test]
fn a_pipeline_of_the_redis_crate_is_answered_in_order() {
    let kv = Kv::on(2);
    let mut client = client(&kv, false);
    let mut pipeline = redis::pipe();
    for n in 0..1000 {
        pipeline.set(format!("key:{n}"), n).ignore().get(format!("key:{n}"));
    }
    let values: Vec<i64> = pipeline.query(&mut client).unwrap();
    assert_eq!(values, (0..1000).collect::<Vec<_>>());
}
