"""FLOPs as a function of columns in Spark 4.1 (`pip install "pyspark>=4.1"`, and a Java)."""

# mypy: ignore-errors
# pyright: basic, reportCallIssue=false, reportArgumentType=false
# Spark's types refuse what its documentation shows.

import os
import sys

import pyarrow
from pyspark.sql import SparkSession
from pyspark.sql.pandas.functions import arrow_udf

import flopmeter

# Workers run this Python.
os.environ["PYSPARK_PYTHON"] = sys.executable
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
# The model goes to the workers by its name.
llama = flopmeter.Model("meta-llama/Llama-3.1-8B")


@arrow_udf("bigint")
def llama_flops(prompt: pyarrow.Array, generate: pyarrow.Array) -> pyarrow.Array:
    """Called with columns of a batch; Spark has no unsigned integers."""
    return flopmeter.flops_array(llama, prompt, generate).cast(pyarrow.int64())


log = spark.createDataFrame([(1024, 256), (8192, 1)], "prompt bigint, generate bigint")
rows = log.select(llama_flops("prompt", "generate").alias("flops")).collect()
print(rows)
assert [row.flops for row in rows] == [18_551_238_819_840, 131_944_593_489_920]
spark.stop()
