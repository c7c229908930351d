-- A service desk's database for ./quickstart: incidents, changes, the tasks of both, and an event for
-- each step. The same rows every time; a few hundred MB in well under a minute.
set synchronous_commit = off;
set maintenance_work_mem = '256MB';
create schema servicedesk;
set search_path = servicedesk;

-- The n-th of a list, picked by a hash of (n, salt): looks random, and is the same in every run.
create function pick(n bigint, salt int, list text[]) returns text
  language sql immutable parallel safe
  return list[1 + (hashint8extended(n, salt) & 1048575) % cardinality(list)];

create table incidents (
  id bigint generated always as identity,
  number text not null,
  opened_at timestamptz not null,
  priority smallint not null,
  status text not null,
  service text not null,
  caller text not null,
  assigned_to text,
  title text not null,
  description text not null
);
insert into incidents (number, opened_at, priority, status, service, caller, assigned_to, title, description)
select 'INC' || lpad(n::text, 8, '0'),
       timestamptz '2024-01-01 00:00+00' + n * interval '4 minutes 13 seconds',
       1 + (hashint8extended(n, 1) & 1023) % 5,
       case when n > 235000 then pick(n, 2, '{OPEN,IN_PROGRESS,WAITING}') else pick(n, 2, '{RESOLVED,CLOSED,CLOSED}') end,
       service, caller, team, symptom || ' ' || service,
       format(E'%s reports: %s %s since %s. %s\nTried so far: %s. %s\nReference %s.',
              caller, symptom, service, pick(n, 7, '{this morning,the last update,yesterday evening,about ten minutes,Monday}'),
              pick(n, 8, '{"The whole team is affected.","Only one workstation shows it.","Customers have begun to call.","It works again for a minute after a restart.","Nobody else on the floor sees it."}'),
              pick(n, 9, '{"restarted the machine","cleared the cache and signed in again","another browser","moved to the wired network","nothing yet"}'),
              pick(n, 10, '{"Please call back before noon.","A workaround is in place.","Month-end closing depends on it.","Screenshot attached.","Can wait until the next maintenance window."}'),
              md5(n::text))
from (select n,
             pick(n, 3, '{e-mail,"the payroll system","the VPN","the warehouse scanner","the ticket portal","the customer database",printing,"single sign-on","the telephone exchange","the build server"}') as service,
             pick(n, 4, '{Amara,Bjorn,Chiara,Dmitri,Esi,Farid,Greta,Hiro,Ines,Jonas,Kwame,Lucia}') || ' ' ||
             pick(n, 5, '{Okafor,Lindqvist,Moretti,Haddad,Schneider,Tanaka,Alvarez,Novak,Mensah,Dubois}') as caller,
             pick(n, 6, '{network,desktop,database,applications,identity,facilities}') as team,
             pick(n, 11, '{"Cannot reach","Wrong figures in","Slow response of","Error 500 from","Access denied to","Lost session in"}') as symptom
      from generate_series(1::bigint, 240000) n) source;

create table changes (
  id bigint generated always as identity,
  number text not null,
  planned_for timestamptz not null,
  risk text not null,
  state text not null,
  summary text not null,
  plan text not null,
  rollback text not null
);
insert into changes (number, planned_for, risk, state, summary, plan, rollback)
select 'CHG' || lpad(n::text, 7, '0'),
       timestamptz '2024-01-01 22:00+00' + n * interval '17 minutes',
       pick(n, 21, '{low,low,low,medium,medium,high}'),
       pick(n, 22, '{CLOSED,CLOSED,CLOSED,APPROVED,REVIEW,CANCELLED}'),
       act || ' ' || target,
       format(E'1. Announce on the status page.\n2. Take a backup of %s.\n3. %s, host by host, watching error rates.\n4. %s\nApproval %s.',
              target, act, pick(n, 25, '{"Run the smoke tests.","Ask the service owner to confirm.","Compare the dashboards with the day before.","Let it settle for an hour."}'), md5('c' || n)),
       pick(n, 26, '{"Restore the backup of step 2.","Switch back to the old version, which stays installed.","Revert the configuration commit and restart.","Point the load balancer at the other half."}')
from (select n,
             pick(n, 23, '{"Upgrade","Patch","Reconfigure","Move","Renew the certificate of","Add storage to"}') as act,
             pick(n, 24, '{"the mail gateway","the payroll database","core switch 2","the identity provider","the file servers","the monitoring cluster","the test environment"}') as target
      from generate_series(1::bigint, 60000) n) source;

create table tasks (
  id bigint generated always as identity,
  incident bigint not null,
  due date not null,
  done boolean not null,
  assignee text not null,
  what text not null
);
insert into tasks (incident, due, done, assignee, what)
select 1 + n * 7919 % 240000, date '2024-01-01' + (n / 600)::int, n % 11 <> 0,
       pick(n, 31, '{network,desktop,database,applications,identity,facilities}'),
       pick(n, 32, '{"Collect the logs of","Call back the owner of","Replace the cable of","Reset the password for","Open a case with the vendor of","Write the review of","Check the free space on"}')
         || ' ' || pick(n, 33, '{"the affected workstation","the payroll database","the gateway","the department printer","the single sign-on account","the backup server"}')
         || ' (' || substr(md5('t' || n), 1, 12) || ')'
from generate_series(1::bigint, 500000) n;

create table events (
  id bigint generated always as identity,
  at timestamptz not null,
  incident bigint not null,
  kind text not null,
  actor text not null,
  detail jsonb not null
);
insert into events (at, incident, kind, actor, detail)
select timestamptz '2024-01-01 00:00+00' + n * interval '41 seconds', 1 + n * 104729 % 240000, kind, actor,
       jsonb_build_object('from', pick(n, 43, '{NEW,OPEN,IN_PROGRESS,WAITING}'), 'to', pick(n, 44, '{OPEN,IN_PROGRESS,WAITING,RESOLVED}'),
                          'seconds', hashint8extended(n, 45) & 65535, 'session', substr(md5('e' || n), 1, 16))
from (select n, pick(n, 41, '{status,comment,assignment,escalation,attachment}') as kind,
             pick(n, 42, '{amara,bjorn,chiara,dmitri,esi,farid,greta,hiro,portal,monitoring}') as actor
      from generate_series(1::bigint, 1500000) n) source;

alter table incidents add primary key (id), add unique (number);
alter table changes add primary key (id);
alter table tasks add primary key (id);
alter table events add primary key (id);
create index on events (incident);
analyze;
