//! Administrators list, run and cancel jobs.

use serde_json::json;

use crate::support::Shop;

on_both_engines!(administrators_list_run_and_cancel_jobs);
async fn administrators_list_run_and_cancel_jobs(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    server.customer().await.get("/admin/v1/jobs").await.expect(403);

    let run = json!({"name": "retry_dead_letters", "arguments": {"subscriber": "a"}, "due_at": "2100-01-01T00:00:00Z"});
    let job = admin.post("/admin/v1/jobs", run.clone()).await.expect(202);
    assert_eq!((&job["status"], &job["attempts"]), (&json!("waiting"), &json!(0)));
    assert_eq!(admin.post("/admin/v1/jobs", run).await.expect(202)["id"], job["id"]);
    let path = format!("/admin/v1/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(admin.get(&path).await.expect(200), job);
    let list = admin.get("/admin/v1/jobs?name=retry_dead_letters&status=waiting").await.expect(200);
    assert_eq!(list["items"], json!([job]));

    let cancelled = admin.post(&format!("{path}/cancel"), json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(admin.post(&format!("{path}/cancel"), json!({})).await.problem(409), "forbidden_transition");
    let now = json!({"name": "retry_dead_letters", "arguments": {"subscriber": "a"}});
    let next = admin.post("/admin/v1/jobs", now).await.expect(202);
    assert_ne!(next["id"], job["id"]);
}

on_both_engines!(a_job_requires_the_permission_of_what_it_does);
async fn a_job_requires_the_permission_of_what_it_does(shop: &Shop) {
    let server = shop.server().await;
    let root = server.admin().await;
    let role = |permissions: &[&str]| json!({"permissions": permissions});
    root.post("/admin/v1/roles", json!({"name": "operator", "permissions": ["jobs:write"]}))
        .await
        .expect(201);
    let operator = server.staff("operator").await;
    for (name, required) in [
        ("retry_dead_letters", "dead-letters:write"),
        ("recover_payments", "orders:write"),
        ("renew_subscriptions", "subscriptions:write"),
        ("send_emails", "emails:write"),
        ("send_digest", "emails:write"),
        ("warm_caches", "caches:write"),
    ] {
        let run = json!({"name": name, "due_at": "2100-01-01T00:00:00Z"});
        let cancel = format!(
            "/admin/v1/jobs/{}/cancel",
            root.post("/admin/v1/jobs", run.clone()).await.expect(202)["id"].as_str().unwrap()
        );
        for refused in
            [operator.post("/admin/v1/jobs", run.clone()).await, operator.post(&cancel, json!({})).await]
        {
            assert_eq!(refused.problem(403), "unauthorized_access", "{name}");
            assert_eq!(refused.json()["permission"], required, "{name}");
        }
        root.put("/admin/v1/roles/operator", role(&["jobs:write", required])).await.expect(200);
        operator.post("/admin/v1/jobs", run).await.expect(202);
        operator.post(&cancel, json!({})).await.expect(200);
        root.put("/admin/v1/roles/operator", role(&["jobs:write"])).await.expect(200);
    }
    operator.post("/admin/v1/jobs", json!({"name": "check_consistency"})).await.expect(202);
}

on_both_engines!(invalid_jobs_are_refused_by_field);
async fn invalid_jobs_are_refused_by_field(shop: &Shop) {
    let admin = shop.server().await.admin().await;
    for (body, pointer) in [
        (json!({"name": "rm"}), "/name"),
        (json!({"name": "retry_dead_letters", "arguments": {"subscribers": []}}), "/arguments"),
        (json!({"name": "check_consistency", "arguments": {"deep": true}}), "/arguments"),
    ] {
        let faults = admin.post("/admin/v1/jobs", body).await.faults();
        assert_eq!(faults[0].0, pointer, "{faults:?}");
    }
    let missing = "/admin/v1/jobs/00000000-0000-0000-0000-000000000000";
    assert_eq!(admin.get(missing).await.problem(404), "job_not_found");
}
