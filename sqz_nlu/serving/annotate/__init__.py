"""Understands millions of utterances: files in, files with answers out, exactly one row for each row.

plan     which shards there are, and the parts they are cut into
files    where shards and parts lie: this machine or an object store
lines    parts of JSON Lines and text files
parquet  parts of Parquet files
part     annotates one part and says so: the unit that is done once
pool     parts on the processes of this machine
ray_data parts on a Ray cluster
run      all of it together
"""
