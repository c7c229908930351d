#pragma once
// Work for a server that leaves every kind of record behind that index and decoder look into, and
// what the server said of it. Throws std::runtime_error when a statement fails.

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "core/wal_position.h"
#include "postgres/wal_record.h"
#include "support/postgres_cluster.h"

namespace holdfast::test {

inline std::uint32_t number(const std::string& text) {
  return static_cast<std::uint32_t>(std::stoul(text));
}

// What the workload did, as the server told it.
struct Done {
  Lsn before;  // everything that changed later is in WAL
  RelationFile created, unlogged, truncated, dropped, prepared, cut;
  RelationFile rewritten;  // by VACUUM FULL: dropped
  std::uint32_t database = 0, tablespace = 0, copied = 0, logged = 0;
  std::uint32_t committed_xid = 0, rolled_back_xid = 0, prepared_xid = 0;
  Lsn restore_point;
  std::filesystem::path tablespace_folder;
};

class Workload {
 public:
  Workload(PostgresCluster& cluster, std::filesystem::path tablespace_folder) : cluster_(cluster) {
    done_.tablespace_folder = std::move(tablespace_folder);
    version_ = cluster.programs().major_version;
  }

  Done run() {
    cluster_.sql("checkpoint");
    done_.before = *parse_lsn(cluster_.sql("select pg_current_wal_insert_lsn()"));
    done_.database =
        number(cluster_.sql("select oid from pg_database where datname = current_database()"));
    relations();
    transactions();
    tablespaces_and_databases();
    maintenance();
    return done_;
  }

 private:
  RelationFile file_of(const std::string& relation) {
    return {1663, done_.database,
            number(cluster_.sql("select pg_relation_filenode('" + relation + "')"))};
  }

  void relations() {
    sql("create table a (id serial, t text, p point, n int[])");
    sql("insert into a (t, p, n) select repeat(md5(i::text), 9), point(i, i), array[i, i % 7]"
        " from generate_series(1, 6000) i");
    done_.created = file_of("a");
    for (const char* kind :
         {"btree (id)", "hash (id)", "gin (n)", "gist (p)", "spgist (p)", "brin (id)"}) {
      sql(std::string("create index on a using ") + kind);
    }
    sql("create unlogged table u as select * from a");
    done_.unlogged = file_of("u");
    sql("update a set t = t || 'x', p = point(id, 0) where id % 3 = 0");
    sql("delete from a where id % 5 = 0");
    sql("checkpoint");
    sql("begin; set local wal_compression = on; update a set t = t || 'y' where id % 2 = 0; "
        "commit");
    sql("create table t as select * from a");
    done_.truncated = file_of("t");
    sql("truncate t");
    sql("create table d as select 1 as i");
    done_.dropped = file_of("d");
    sql("drop table d");
  }

  void transactions() {
    done_.rolled_back_xid = number(
        cluster_.sql("begin; create table r as select 1 as i; select pg_current_xact_id()::xid"));
    sql("create table own (id xid)");
    sql("begin; savepoint one; insert into a (t) values ('1'); rollback to one;"
        " savepoint two; insert into a (t) values ('2'); release two;"
        " insert into own select pg_current_xact_id()::xid; commit");
    done_.committed_xid = number(cluster_.sql("select id from own"));
    sql("do $$ begin for i in 1..200 loop begin insert into a (t) values (i);"
        " if i % 3 = 0 then raise 'x'; end if; exception when others then null; end; end loop;"
        " end $$");
    done_.prepared_xid = number(
        cluster_.rows("begin; create table p as select 1 as i; insert into p values (2);"
                      " prepare transaction 'p'; select transaction from pg_prepared_xacts")[0][0]);
    sql("commit prepared 'p'");
    done_.prepared = file_of("p");
    sql("begin; drop table p; prepare transaction 'drop'");
    sql("commit prepared 'drop'");
    sql("begin; create table q as select 1 as i; prepare transaction 'q'");
    sql("rollback prepared 'q'");
    sql("select pg_logical_emit_message(true, 'large', repeat('y', 3000000))");
    sql("select pg_logical_emit_message(false, 'small', 'y')");
  }

  void tablespaces_and_databases() {
    sql("create tablespace s location '" + done_.tablespace_folder.string() + "'");
    done_.tablespace = number(cluster_.sql("select oid from pg_tablespace where spcname = 's'"));
    sql("create table in_s tablespace s as select * from a");
    sql("create index on in_s (id) tablespace s");
    sql("drop table in_s");
    sql(version_ < 15 ? "create database copied tablespace s"
                      : "create database copied tablespace s strategy file_copy");
    done_.copied = number(cluster_.sql("select oid from pg_database where datname = 'copied'"));
    if (version_ >= 15) {
      sql("create database logged strategy wal_log");
      done_.logged = number(cluster_.sql("select oid from pg_database where datname = 'logged'"));
    }
    sql("alter database copied set tablespace pg_default");
    sql("drop database copied");
    sql("drop tablespace s");
  }

  void maintenance() {
    done_.rewritten = file_of("a");
    sql("vacuum full a");
    sql("vacuum full pg_class");  // mapped: the relation map changes
    sql("vacuum (freeze, analyze) a");
    sql("create table c as select i from generate_series(1, 20000) i");
    done_.cut = file_of("c");
    sql("delete from c where i > 100");
    sql("vacuum c");
    done_.restore_point = *parse_lsn(cluster_.sql("select pg_create_restore_point('the point')"));
    sql("select pg_switch_wal()");
    sql("reindex table a");
  }

  void sql(const std::string& statements) { cluster_.sql(statements); }

  PostgresCluster& cluster_;
  int version_;
  Done done_;
};

}  // namespace holdfast::test
