-- Changes about one page in a hundred of every relation of the data set (dataset.sql), scattered over
-- the whole of each file, and others with every value of `turn` from 0 to 99. A row of every
-- hundredth page of a table is deleted or, as often as its indexes need to have one page in a
-- hundred changed too, updated; old TOAST pages are changed by updating what lies in them.
-- Run by psql with one variable, `turn`, in each database.
\set ON_ERROR_STOP on
set search_path = bench;
select set_config('bench.turn', :'turn', false);
do $$
declare
  turn constant int := current_setting('bench.turn')::int;
  relation record;
  picked text;
begin
  for relation in
    select format('%I', name.relname) as name, pages, stride, column_name
    from pg_class name
    cross join lateral (select pg_relation_size(name.oid) / 8192 as pages) sizes
    cross join lateral (select coalesce(sum(pg_relation_size(indexrelid) / 8192), 0), greatest(count(*), 1)
                        from pg_index where indrelid = name.oid) indexes (index_pages, number)
    cross join lateral (select greatest(1, pages * number / greatest(index_pages, 1))::int as stride) strides
    cross join lateral (select quote_ident(attname) as column_name from pg_attribute
                        where attrelid = name.oid and attnum = 1) columns
    where relnamespace = 'bench'::regnamespace and relkind = 'r' and pages > turn
    order by 1
  loop
    -- The first living row of each page, among the first three.
    picked := format('select first.ctid from generate_series(%s, %s, 100) with ordinality as page (number, nth)
                      cross join lateral (select ctid from %s where ctid = any(array[
                        format(''(%%s,1)'', page.number)::tid, format(''(%%s,2)'', page.number)::tid,
                        format(''(%%s,3)'', page.number)::tid]) limit 1) first where nth %% %s',
                     turn, relation.pages - 1, relation.name, relation.stride);
    execute format('update %1$s set %2$s = %2$s where ctid = any(array(%3$s = 0))',
                   relation.name, relation.column_name, picked);
    execute format('delete from %1$s where ctid = any(array(%2$s <> 0))', relation.name, picked);
  end loop;
  update attachments set content = overlay(content placing '\x00' from 1)
    where (hashint8(incident) & 1073741823) % 200 = turn;
end $$;
