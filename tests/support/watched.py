"""The config of an appliance that is there to be watched: by its page, its metrics, its tracer."""


def watched_config(name, listen="stream = []"):
    """`listen`: what [listen] has beside HTTP and the console."""
    return f"""
[appliance]
name = "{name}"
directory = "@DIRECTORY@"
profiles = 5000
shards = 4
huge_pages = "off"

[cpu]
ingest = [0]
workers = [0, 0]

[listen]
http = "127.0.0.1:0"
console = "127.0.0.1:0"
{listen}

[durability]
directory = "@DIRECTORY@/durable"

[events]
view = {{ track = "Product Viewed", item = "properties.product_id" }}

[features]
views = {{ type = "count", event = "view" }}
"""
