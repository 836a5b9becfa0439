# script/bench: each of its cells works, and loses or doubles no job; one that does says so. What it measures is for no
# test: machines are busy.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use File::Path qw(make_path);
use IPC::Run;
use JSON::PP;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $engine = "$FindBin::Bin/../bench/engine";
my $node = new_node('bench', extension => 0, max_connections => 100, max_worker_processes => 64, autovacuum => 'off');
my ($bin) = grep { -x "$_/pgbench" } split /:/, $ENV{PATH};
local $ENV{PGPORT} = $node->port;
delete local $ENV{PGAPPNAME};    # pgbench has its own

# Runs a program of the engine's; its exit code, and what it said.
sub run_engine
{
	my ($program, @arguments) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'node', "$engine/$program.mjs", @arguments ], '<', \'', '>', \$out, '2>', \$err,
		IPC::Run::timeout(400, exception => "no end of $program @arguments\n"));
	return ($? >> 8, $out, $err);
}

# Measures cells; the records of them, by name, the systems that are not here, and the file.
my $files = 0;
sub measure
{
	my @arguments = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/' . ++$files . '.jsonl';
	my ($code, undef, $err) = run_engine('main', '--server', join(',', 'this', $node->host, $bin, $node->data_dir),
		'--out', $file, qw(--size smoke --seconds 1 --rounds 1 --clients 2), @arguments);
	my (%cells, %absent);
	for (split /\n/, slurp_file($file))
	{
		my $record = decode_json($_);    # dies of what is no JSON
		$absent{ $record->{absent} } = $record->{reason} if $record->{absent};
		push @{ $cells{ $record->{cell} } }, $record if $record->{cell};
	}
	return ($code, \%cells, \%absent, $file, $err);
}

my $about = encode_json({ about => { date => '2026-01-01', revision => 'test', postgres => '15', cores => 2,
		memory_gib => 1, seconds => 1, rounds => 1, clients => 2, size => 'smoke', command => 'script/bench' } });

# Each of the list was measured once and is sound.
sub are_sound
{
	my ($list, $cells, $absent, $what) = @_;
	for my $line (split /\n/, $list)
	{
		my ($cell) = $line =~ m{^\w+/(\S+)};
		my $records = $cells->{$cell} // [];
	  SKIP:
		{
			my ($system) = grep { $cell =~ /^\Q$_\E(\.|$)/ } sort keys %$absent;
			skip "$cell, $what: $absent->{$system}", 1 if $system && !@$records;
			is(scalar(@$records) . ', ' . ($records->[0]{void} // 'sound'), '1, sound', "$cell, $what");
		}
	}
	return;
}

my ($listed, $list) = run_engine('main', '--list');
is($listed, 0, 'the cells can be listed');
is((run_engine('main', '--list', 'nothing'))[0], 2, 'but none that there is not');
cmp_ok(scalar(split /\n/, $list), '>', 50, 'and are many');
my ($code, $cells, $absent, $file, $err) = measure('--about', $about);
is($code, 0, 'no cell is void') or diag($err);
are_sound($list, $cells, $absent, 'jobs are neither lost nor doubled');
my @figures = sort grep { defined $cells->{'life.8'}[0]{$_} } qw(cpu_us hot jobs load other_load per_second steal);
is("@figures", 'cpu_us hot jobs load other_load per_second steal', 'a measurement has all figures');

($code, my $out) = run_engine('report', $file);
is($code, 0, 'there is a report');
like($out, qr/^T_ins: .*\n(.*\n)*whole life in three transactions, F being 1 .*(kept|missed)$/m,
	'with rates and bounds');
SKIP:
{
	skip 'there is no gnuplot', 3 unless grep { -x "$_/gnuplot" } split /:/, $ENV{PATH};
	my $root = PostgreSQL::Test::Utils::tempdir();
	make_path("$root/doc");
	append_to_file("$root/$_", "before\n<!-- bench -->\nold\n<!-- end of bench -->\nafter\n")
	  for qw(README.md doc/benchmark.md);
	(my $published, undef, $err) = run_engine('publish', $file, $root);
	is($published, 0, 'it can be published') or diag($err);
	like(
		slurp_file("$root/README.md"),
		qr/\Abefore\n<!-- bench -->\nPostgreSQL[^\0]*\| jobs_ext[^\0]*bench -->\nafter\n\z/,
		'between the marks');
	like(slurp_file("$root/doc/bench-lives.svg"), qr/<svg[^\0]*jobs_ext[^\0]*<\/svg>/, 'with plots');
}

# Of each cell that has it, at a level of its own.
set_config($node, wal_level => 'logical', full_page_writes => 'off');
$node->restart;
($code, $cells) = measure('--wal', 'logical');
is($code, 0, 'no cell is void whose WAL is measured');
cmp_ok($cells->{'life.8'}[0]{wal_bytes} // 0, '>', 500, 'a life writes WAL');
is($cells->{'life.8'}[0]{wal_level} // '', 'logical', 'at its level');
is($cells->{'updates.8'}, undef, 'cells without it have none');

# Every database that is made from now on loses each third job that a client adds to a table "plain", and claims twice
# what it claims.
$node->safe_psql('template1', <<'SQL');
create function lose() returns trigger language plpgsql as $$ begin
  if current_setting('application_name') <> 'pgbench' then return new; end if;
  if tg_op = 'INSERT' then return case when new.id % 3 > 0 then new end; end if;
  new.attempt := new.attempt + 1;
  return new;
end $$;
create function attach() returns event_trigger language plpgsql as $$ begin
  if to_regclass('plain') is not null and not exists (select from pg_trigger where tgname = 'lose') then
    create trigger lose before insert or update on plain for each row execute function lose();
  end if;
end $$;
create event trigger attach on ddl_command_end when tag in ('CREATE TABLE') execute function attach();
SQL
($code, $cells) = measure('plain.enqueue', 'plain.claim');
is($code, 1, 'a cell that lost jobs is void');
like($cells->{'plain.enqueue'}[0]{void}, qr/^[67] jobs added, not 10$/, 'and says what it lost');
like($cells->{'plain.claim'}[0]{void}, qr/\b10 jobs claimed more than once, not 0$/, 'or doubled');

log_is_clean($node, 'the log is clean');
$node->stop;

done_testing();
