-- The data set of bench/run: about 2.2 GB on disk, about 2.7 : 1 with zstd -3, the same rows every
-- time. A mix, because what compresses well alone hides what a backup program does besides: wide
-- numeric rows full of blanks, text of a service desk, JSON events, noise that nothing compresses,
-- indexes, and tables with holes.
--
-- Run by psql with one variable, `size`: 1.0 is the full set.
\set ON_ERROR_STOP on
set synchronous_commit = off;
set maintenance_work_mem = '256MB';
set work_mem = '64MB';
create schema bench;
set search_path = bench;

-- The n-th word of a list, picked by a hash of (n, salt): looks random, is the same in every run.
create function pick(n bigint, salt int, list text[]) returns text
  language sql immutable parallel safe
  return list[1 + (hashint8extended(n, salt) & 1048575) % cardinality(list)];

create function noise(n bigint, length int) returns bytea
  language sql immutable parallel safe
  return substring(sha512(int8send(n)) || sha512(int8send(-n)) || sha512(int8send(n << 20)) ||
                   sha512(int8send(~(n << 20))) from 1 for length);

create function phrase(n bigint, salt int, words int) returns text
  language sql immutable parallel safe as $$
  select string_agg(
           ('{the,server,was,not,reachable,after,update,of,and,users,report,that,since,login,fails,with,error,'
            'please,check,disk,network,printer,in,building,second,floor,has,been,restarted,still,slow,when,'
            'opening,attachment,mail,client,version,does,start,again,customer,invoice,order,cannot,saved,database,'
            'timeout,connection,refused,certificate,expired,password,reset,required,account,locked,vpn,tunnel,drops,'
            'every,few,minutes,router,switch,port,cable,replaced,by,technician,waiting,for,vendor,reply,ticket,'
            'escalated,team,lead,approved,change,window,tonight,rollback,plan,tested,backup,restored,monitoring,'
            'alert,cleared,cpu,memory,usage,above,ninety,percent,queue,length,growing,payment,gateway,returned,'
            'unexpected,response,screen,freezes,keyboard,layout,wrong,language,settings,profile,corrupted,'
            'warehouse,scanner,battery,empty,firmware,upgrade,failed,halfway,device,bricked,sent,to,repair}'::text[])
             [1 + (h & 63) * (h >> 6 & 1) + (1 - (h >> 6 & 1)) * ((h >> 7) % 126)], ' ')
  from (select hashint8extended(n * 64 + word, salt) & 1073741823 as h
        from generate_series(1, words) word) hashes $$;

-- 1. Like pgbench's accounts: narrow numbers and a column of blanks; a tenth of the rows rewritten.
create table accounts (id int not null, branch int not null, balance int not null, filler char(84));
insert into accounts select n, n / 100000, 0, '' from generate_series(1, (4500000 * :size)::int) n;
alter table accounts add primary key (id);
update accounts set balance = hashint4(id) % 100000 where id % 10 = 3;

-- 2. A service desk: mostly text.
create table incidents (
  id bigint not null, number text not null, opened_at timestamptz not null, priority smallint not null,
  status text not null, team text not null, caller text not null, title text not null, description text not null);
insert into incidents
select n, 'INC' || lpad(n::text, 8, '0'), timestamptz '2024-01-01 00:00+00' + n * interval '73 seconds',
       1 + (hashint8extended(n, 1) & 1023) % 5, pick(n, 2, '{OPEN,IN_PROGRESS,WAITING,RESOLVED,CLOSED,CLOSED,CLOSED}'),
       pick(n, 3, '{network,desktop,database,applications,identity,facilities}'),
       pick(n, 4, '{Amara,Bjorn,Chiara,Dmitri,Esi,Farid,Greta,Hiro,Ines,Jonas,Kwame,Lucia}') || ' ' ||
       pick(n, 5, '{Okafor,Lindqvist,Moretti,Haddad,Schneider,Tanaka,Alvarez,Novak,Mensah,Dubois}'),
       phrase(n, 6, 5),
       format(E'%s\n\nImpact: %s\nSteps taken so far: %s. %s\nReference %s, asset %s.', phrase(n, 7, 24),
              pick(n, 8, '{"The whole team is affected and cannot work.","Only one workstation shows it.","Customers have begun to call the hotline.","It works again for a minute after a restart.","Nobody else on the floor sees it."}'),
              pick(n, 9, '{"restarted the machine","cleared the cache and signed in again","tried another browser","moved to the wired network","nothing yet"}'),
              pick(n, 10, '{"Please call back before noon.","A workaround is in place.","Month-end closing depends on it.","Screenshot attached.","Can wait until the next maintenance window."}'),
              md5(n::text), hashint8extended(n, 11) & 16777215)
from generate_series(1::bigint, (800000 * :size)::bigint) n;
alter table incidents add primary key (id);
create index on incidents (number);
create index on incidents (opened_at);
create index on incidents (team, status, priority);

-- 3. Events as JSONB, as an application logs them.
create table events (id bigint not null, at timestamptz not null, body jsonb not null);
insert into events
select n, timestamptz '2025-01-01 00:00+00' + n * interval '311 milliseconds',
       jsonb_build_object('type', pick(n, 21, '{ticket.created,ticket.updated,comment.added,sla.warning,user.login,user.logout,mail.sent}'),
                          'actor', hashint8extended(n, 22) & 65535, 'ticket', hashint8extended(n, 23) & 1048575,
                          'trace', md5(n::text), 'ok', n % 17 <> 0, 'duration_ms', hashint8extended(n, 24) & 4095,
                          'client', jsonb_build_object('agent', pick(n, 25, '{firefox,chrome,safari,edge,mobile-app,api}'),
                                                       'address', '10.' || (n % 7) || '.' || (hashint8extended(n, 26) & 255) || '.' || (hashint8extended(n, 27) & 255)),
                          'tags', jsonb_build_array(pick(n, 28, '{alpha,beta,gamma,delta}'), pick(n, 29, '{red,green,blue,white,black}')))
from generate_series(1::bigint, (1400000 * :size)::bigint) n;
alter table events add primary key (id);
create index on events (at);
create index on events ((body ->> 'type'));

-- 4. What does not compress: attachments (in TOAST) and random identifiers with their index.
create table attachments (id uuid not null, incident bigint not null, content bytea not null);
alter table attachments alter column content set storage external;
insert into attachments
select encode(noise(n, 16), 'hex')::uuid, n * 7919 % 800000,
       (select string_agg(noise(n * 1000 + part, 256), '') from generate_series(1, 32) part)
from generate_series(1::bigint, (50000 * :size)::bigint) n;
alter table attachments add primary key (id);
create table sessions (token uuid not null, account uuid not null, seen timestamptz not null, secret bytea not null);
insert into sessions
select encode(noise(n + 100000000, 16), 'hex')::uuid, encode(noise(n % 50000 + 200000000, 16), 'hex')::uuid,
       timestamptz '2025-06-01 00:00+00' + (hashint8extended(n, 31) & 33554431) * interval '1 second', noise(n + 300000000, 32)
from generate_series(1::bigint, (1300000 * :size)::bigint) n;
alter table sessions add primary key (token);
create index on sessions (account);

-- 5. Free space: every eighth session and a run of old events are gone.
delete from sessions where get_byte(secret, 0) % 8 = 0;
delete from events where id between (200000 * :size)::bigint and (300000 * :size)::bigint;

-- 6. Many small relations, as schemas of many tenants have.
do $$ begin
  for tenant in 1..150 loop
    execute format('create table tenant_%s (id int primary key, name text)', tenant);
    execute format('insert into tenant_%s select n, md5(n::text) from generate_series(1, %s) n', tenant, tenant * 3 % 90);
  end loop;
end $$;
