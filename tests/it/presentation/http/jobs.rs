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
