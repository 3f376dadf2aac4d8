"""Prints the runs of an experiment, newest first, as the mlflow package reads them. Arguments: the address of a server, the experiment."""
import json
import sys

from mlflow import MlflowClient

uri, name = sys.argv[1:]
client = MlflowClient(tracking_uri=uri)
experiment = client.get_experiment_by_name(name)
runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
print(json.dumps([
    {
        "name": run.info.run_name,
        "status": run.info.status,
        "params": run.data.params,
        "loss": [[m.step, m.value] for m in client.get_metric_history(run.info.run_id, "loss")],
    }
    for run in runs
]))
