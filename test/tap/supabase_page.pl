# doc/supabase.md, read and run: its SQL in psql as the role that the first line of each block names, its files and
# commands in a shell against stand-ins for PostgREST and Realtime, in projects of Supabase's shape, one with the tables
# that the page would make and one without. What stands below a block is what it has to print. A block that is neither
# run nor excused below is a failure.
use strict;
use warnings;

use File::Find;
use FindBin;
use lib $FindBin::Bin;
use IPC::Run;
use JSON::PP;
use JobsExt;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $root = "$FindBin::Bin/../..";
my $tests = "$FindBin::Bin/../supabase";
my ($version) = `node --version 2>&1` =~ /^v(\d+)/;
plan skip_all => 'needs Node.js 20 or newer, as supabase-js does' if ($version // 0) < 20;
plan skip_all => 'needs examples/node_modules with supabase-js: npm ci --prefix examples'
  unless -d "$root/examples/node_modules/\@supabase/supabase-js";
chomp(my ($share, $library) = (`pg_config --sharedir`, `pg_config --pkglibdir`));
plan skip_all => 'pg_cron or wal2json is not installed: script/bootstrap brings them'
  unless -e "$share/extension/pg_cron.control" && -e "$library/wal2json.so";

# What can't be run here, and what is done instead.
my %excused = (
	"docker compose restart db\n" => [ 'there is no docker here, but a server', sub { $_[0]{node}->restart } ],
	"npm ci --prefix examples\n" =>
	  [ 'it is there, and the registry may not be', sub { ok(-d "$root/examples/node_modules/pg", 'npm has run') } ],
	'listen.mjs' => [ 'a browser\'s, which loads it', \&listen ]);

my @blocks;
{
	my $page = slurp_file("$root/doc/supabase.md");
	my ($heading, $line) = ('', 0);
	while ($page =~ /^(?:## (?<heading>[^\n]*)|```(?<language>\w*)\n(?<text>.*?)^```)$/msg)
	{
		my %found = %+;
		if (defined $found{heading}) { $heading = $found{heading}; next; }
		if ($found{language} ne '')
		{
			push @blocks, { %found, heading => $heading, name => "$heading, block " . (@blocks + 1) };
		}
		else
		{
			die "nothing prints this: $found{text}" if !@blocks || exists $blocks[-1]{prints};
			$blocks[-1]{prints} = $found{text};
		}
	}
	my $fences = () = $page =~ /^```/mg;
	is($fences, 2 * (@blocks + grep { exists $_->{prints} } @blocks), 'every block of the page is known');
	unlike($page =~ s/^```.*?^```$//msgr, qr/^(?: {4}|\t|~~~)/m, 'none is written in another way');
}

# As on the platform: postgres is no superuser.
local $ENV{PGUSER} = 'supabase_admin';

sub server
{
	my ($name, %option) = @_;
	return new_node($name, extension => 0, initdb => [ '--username', 'supabase_admin' ], max_worker_processes => 20,
		wal_level => 'logical', 'cron.database_name' => "'postgres'", %option);
}

# One blank between two values, whatever else stands between them; neither rules nor the number of rows.
sub normalised
{
	my ($text) = @_;
	return join "\n", grep { $_ ne '' }
	  map { s/\|/ /gr =~ s/\s+/ /gr =~ s/^ | $//gr } grep { !/^[-+]+$|^\(\d+ rows?\)$/ } split /\n/, $text;
}

sub prints
{
	my ($project, $block, $stdout) = @_;
	return if !exists $block->{prints};
	is(normalised($stdout), normalised($block->{prints}), "$project->{name}: $block->{name}: prints that");
	return;
}

sub run_sql
{
	my ($project, $block) = @_;
	my ($role, $copy) = $block->{text} =~ /\A-- as (\w+)(, in the copy)?\n/;
	return fail("$block->{name}: as whom?") if !$role;
	my $login = $role eq 'service_role' ? 'postgres' : $role;
	my ($stdout, $stderr) = ('', '');
	my $status = ($copy ? $project->{copy} : $project->{node})->psql(
		'postgres', ($login eq $role ? '' : "set role $role;\n") . $block->{text},
		stdout => \$stdout, stderr => \$stderr,
		extra_params => [ '-U', $login, '-P', 'tuples_only=off' ]);
	is($status, 0, "$project->{name}: $block->{name}: as $role") or diag("$block->{text}\n$stderr");
	return prints($project, $block, $stdout);
}

# The API, from when it is needed.
sub api
{
	my ($project) = @_;
	return $project->{api} if $project->{api};
	my $api = $project->{api} = { in => '', out => '', err => '' };
	local %ENV = (%ENV, %{ $project->{env} });
	$api->{process} = IPC::Run::start([ 'node', "$tests/page_api.mjs" ],
		'<', \$api->{in}, '>', \$api->{out}, '2>', \$api->{err}, IPC::Run::timeout(300));
	my $started = decode_json(answer_of($api));
	@{ $project->{env} }{qw(SUPABASE_URL SUPABASE_ANON_KEY SUPABASE_SERVICE_ROLE_KEY)} =
	  @$started{qw(url anonKey serviceKey)};
	return $api;
}

sub answer_of
{
	my ($api) = @_;
	$api->{process}->pump until $api->{out} =~ /\n/ || !$api->{process}->pumpable;
	$api->{out} =~ s/\A(.*)\n// or die "the API does not answer: $api->{err}";
	return $1;
}

sub ask
{
	my ($project, $question) = @_;
	my $api = api($project);
	$api->{in} .= "$question\n";
	return answer_of($api);
}

# Ann's token, as Auth makes one: with what the hook of the page, once it is there, puts into it.
sub sign_in
{
	my ($project) = @_;
	my $sql = sub { return $project->{node}->safe_psql('postgres', $_[0], extra_params => [ '-U', $_[1] ]) };
	my $event = $sql->(<<'SQL', 'supabase_admin');
select jsonb_build_object('user_id', u.id, 'claims', jsonb_build_object('sub', u.id, 'role', 'authenticated'))
from auth.users u
SQL
	$event = $sql->("select public.add_organisation('$event')", 'supabase_auth_admin')
	  if $sql->("select to_regproc('public.add_organisation') is not null", 'supabase_admin') eq 't';
	$project->{env}{ACCESS_TOKEN} = ask($project, encode_json(decode_json($event)->{claims}));
	return;
}

sub run_shell
{
	my ($project, $block) = @_;
	if ($block->{text} =~ /^node /m)
	{
		api($project);
		sign_in($project);
		$project->{called}{$_} = 1 for $block->{text} =~ /^node (\S+)$/mg;
	}
	local %ENV = (%ENV, %{ $project->{env} });
	my ($stdout, $stderr) = ('', '');
	my $ok = IPC::Run::run([ 'bash', '-euo', 'pipefail', '-c', "cd '$project->{clone}'\n$block->{text}" ],
		'<', \'', '>', \$stdout, '2>', \$stderr, IPC::Run::timeout(300));
	ok($ok, "$project->{name}: $block->{name}: the commands run") or diag("$block->{text}\n$stdout\n$stderr");
	unlike($stderr, qr/ERROR|FATAL/, "$project->{name}: $block->{name}: … without errors");
	return prints($project, $block, $stdout);
}

sub write_file
{
	my ($project, $block) = @_;
	my ($file) = $block->{text} =~ m{\A// (\S+\.mjs)\n} or return fail("$block->{name}: which file?");
	append_to_file("$project->{clone}/$file", $block->{text});
	$project->{called}{$file} //= 0;
	excuse($project, $file) if $excused{$file};
	return;
}

sub excuse
{
	my ($project, $what) = @_;
	my ($reason, $instead) = @{ $excused{$what} };
	$project->{excused}{$what} = 1;
	note("not run, $reason: $what");
	return $instead->($project);
}

# In a browser, which has a WebSocket of its own. Ann hears of her organisation's jobs and of no others.
sub listen
{
	my ($project) = @_;
	my %listener = (out => '', err => '');
	append_to_file("$project->{clone}/browser.mjs", "import WebSocket from 'ws';\nglobalThis.WebSocket = WebSocket;\n");
	sign_in($project);
	local %ENV = (%ENV, %{ $project->{env} });
	my $process = IPC::Run::start(
		[ 'node', '--import', "$project->{clone}/browser.mjs", "$project->{clone}/listen.mjs" ],
		'<', \'', '>', \$listener{out}, '2>', \$listener{err}, IPC::Run::timeout(60));
	my $end = time + 30;
	sleep 0.05 until ask($project, 'subscribers') || time > $end;
	is(ask($project, 'subscribers'), 1, "$project->{name}: the page's browser listens");
	$project->{node}->safe_psql('postgres', <<'SQL', extra_params => [ '-U', 'postgres' ]);
select job_enqueue('send-mail');
select job_enqueue('send-mail', organisation_id => '11111111-1111-1111-1111-111111111111', job_id => 'heard');
select job_cancel(job_id => 'heard');
SQL
	$process->pump until $listener{out} =~ /cancelled\n/ || !$process->pumpable;
	is($listener{out}, "INSERT send-mail queued\nUPDATE send-mail cancelled\n",
		"$project->{name}: … and hears of what it may see") or diag($listener{err});
	$process->kill_kill;
	$project->{called}{'listen.mjs'} = 1;
	return;
}

# A server that has not heard of us yet, with roles and tables of a project; Ann has signed up. The clone is one of
# links, into which the page's files go.
sub new_project
{
	my ($name, $acl, $own_tables) = @_;
	my $node = server("page_$name", shared_preload_libraries => "'pg_cron'");
	$node->safe_psql('postgres', slurp_file("$tests/shim.sql"), extra_params => [ '-v', "acl=$acl" ]);
	$node->safe_psql('postgres', <<'SQL');
insert into auth.users (id, email) values ('aaaaaaaa-0000-0000-0000-000000000000', 'ann@example.org')
SQL
	# Newer minor releases want each plugin of another's named.
	set_config($node, output_plugin_libraries => 'wal2json')
	  if $node->safe_psql('postgres', q{select count(*) from pg_settings where name = 'output_plugin_libraries'});
	$node->safe_psql('postgres', 'drop table profiles, organisations, restaurants cascade') if !$own_tables;
	my $clone = PostgreSQL::Test::Utils::tempdir();
	symlink "$root/$_", "$clone/$_" or die "no link to $_: $!" for map { s{.*/}{}r } glob "$root/*";
	symlink "$root/examples/node_modules", "$clone/node_modules" or die "no link: $!";
	my %env = (
		PGHOST => $node->host,
		PGPORT => $node->port,
		PGDATABASE => 'postgres',
		DESTDIR => PostgreSQL::Test::Utils::tempdir());
	return { name => $name, node => $node, clone => $clone, env => \%env };
}

# The server of the copy: with the roles, which a dump of a database does not have.
sub new_copy
{
	my ($project) = @_;
	my $copy = $project->{copy} = server("copy_$project->{name}", shared_preload_libraries => "'pg_cron,jobs_ext'");
	IPC::Run::run([ 'pg_dumpall', '--roles-only', '-d', $project->{node}->connstr('postgres') ], '|',
		[ 'psql', '-Xq', '-d', $copy->connstr('postgres') ], '2>', \my $known);
	@{ $project->{env} }{qw(PRODUCTION COPY)} =
	  map { $_->connstr('postgres') . ' user=supabase_admin' } $project->{node}, $copy;
	return;
}

# By the page's make, into a directory of its own.
sub installed
{
	my ($project) = @_;
	my @files;
	File::Find::find(sub { push @files, $_ if -f }, $project->{env}{DESTDIR});
	return sort @files;
}

my %run = (sql => \&run_sql, sh => \&run_shell, js => \&write_file);

sub run_page
{
	my ($project) = @_;
	for my $block (@blocks)
	{
		new_copy($project) if $block->{text} =~ /\$COPY/ && !$project->{copy};
		if ($excused{ $block->{text} }) { excuse($project, $block->{text}) }
		elsif (my $run = $run{ $block->{language} }) { $run->($project, $block) }
		else { fail("$block->{name}: neither run nor excused: $block->{text}") }
	}
	is(join(' ', grep { !$project->{called}{$_} } sort keys %{ $project->{called} }), '',
		"$project->{name}: each file was run");
	is(join(' ', grep { !$project->{excused}{$_} } sort keys %excused), '', "$project->{name}: no excuse too many");
	return;
}

for my $way ([ 'seed', 'modern', 1 ], [ 'new', 'legacy', 0 ])
{
	my $project = new_project(@$way);
	run_page($project);
	is(join(' ', installed($project)), 'jobs_ext--1.0.sql jobs_ext.control jobs_ext.so',
		"$project->{name}: make has installed what the page says");
	worker_serves($project->{node}, 'postgres', "$project->{name}: there is a worker");
	$project->{api}{process}->kill_kill;
	for my $node (@$project{qw(node copy)})
	{
		in_step($node, 'postgres', "$project->{name}: in step");
		log_is_clean($node, "$project->{name}: the log is clean");
		$node->stop;
	}
}

done_testing();
