-- Lists of workloads that ended for a reason, most of which are rare.

CREATE INDEX workloads_by_tenant_reason ON workloads (tenant, reason, submitted_at DESC, id DESC) WHERE reason IS NOT NULL;
