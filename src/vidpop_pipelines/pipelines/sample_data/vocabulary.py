"""Words from which the sample's titles, tags and descriptions are composed.

Hooks run from the dullest to the most inviting: so a video's wording quality becomes visible in its title.
"""

from dataclasses import dataclass

# The fifteen categories of YouTube; a topic is an index into this tuple.
CATEGORIES = (
    "Film & Animation",
    "Autos & Vehicles",
    "Music",
    "Pets & Animals",
    "Sports",
    "Travel & Events",
    "Gaming",
    "People & Blogs",
    "Comedy",
    "Entertainment",
    "News & Politics",
    "Howto & Style",
    "Education",
    "Science & Technology",
    "Nonprofits & Activism",
)


@dataclass(frozen=True)
class Language:
    """Everything needed to write about any topic in one language.

    Attributes:
        code: ISO 639-1 code.
        share: Share of the channels that publish in this language; the shares add up to 1.
        reach: How much a larger or smaller audience adds to log2 views.
        templates: Title patterns with the topic words ``{a}``, ``{b}`` and the ``{hook}``.
        description: Pattern with the topic words ``{a}``, ``{b}`` and ``{c}``.
        hooks: Phrases from the dullest to the most inviting.
        words: Five words per topic, in the order of ``CATEGORIES``.
    """

    code: str
    share: float
    reach: float
    templates: tuple[str, ...]
    description: str
    hooks: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]


def _words(lines: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(line.split()) for line in lines.strip().splitlines())


# The order is part of the generated data: another order is another sample.
LANGUAGES = (
    Language(
        "en",
        0.28,
        0.6,
        ("{a} and {b}: {hook}", "{hook} | {a} with {b}", "the {a} that changed our {b} – {hook}"),
        "In this video we talk about {a}, {b} and {c}.\n"
        "Subscribe, and tell us what you think in the comments!",
        (
            "an unfinished test",
            "a few quick notes",
            "another short clip",
            "how we spent the day",
            "the whole story",
            "everything you need to know",
            "the best moments of the year",
            "nobody expected this",
        ),
        _words("""
            cartoon trailer scene actor cinema
            engine car motorcycle wheel garage
            song concert guitar remix melody
            puppy kitten parrot horse aquarium
            football goal marathon boxing coach
            island festival airport mountain hostel
            level boss speedrun console quest
            family breakfast diary birthday apartment
            joke prank sketch parody laughter
            celebrity show magician award dance
            election minister parliament strike economy
            recipe makeup hairstyle furniture sewing
            grammar algebra history lesson exam
            robot telescope battery laptop laboratory
            volunteers charity forest refugees donation
        """),
    ),
    Language(
        "es",
        0.13,
        0.3,
        ("{a} y {b}: {hook}", "{hook} | {a} con {b}", "así es el mundo de {a} y {b}, {hook}"),
        "En este vídeo hablamos de {a}, {b} y {c}.\n¡Suscríbete y cuéntanos qué opinas en los comentarios!",
        (
            "una prueba sin terminar",
            "unas notas rápidas",
            "otro clip corto",
            "así pasamos el día",
            "la historia completa",
            "todo lo que debes saber",
            "los mejores momentos del año",
            "nadie se lo esperaba",
        ),
        _words("""
            dibujos tráiler escena actriz cine
            motor coche motocicleta rueda taller
            canción concierto guitarra ritmo melodía
            cachorro gatito loro caballo acuario
            fútbol gol maratón boxeo entrenador
            isla fiesta aeropuerto montaña albergue
            nivel jefe partida consola misión
            familia desayuno diario cumpleaños piso
            chiste broma comedia parodia risa
            famosos espectáculo mago premio baile
            elecciones ministro parlamento huelga economía
            receta maquillaje peinado muebles costura
            gramática álgebra historia lección examen
            robot telescopio batería ordenador laboratorio
            voluntarios caridad bosque refugiados donación
        """),
    ),
    Language(
        "pt",
        0.09,
        0.1,
        ("{a} e {b}: {hook}", "{hook} | {a} com {b}", "você não conhece {a} e {b} assim, {hook}"),
        "Neste vídeo falamos sobre {a}, {b} e {c}.\n"
        "Inscreva-se no canal e diga o que você achou nos comentários!",
        (
            "um teste não acabado",
            "algumas notas rápidas",
            "mais um vídeo curto",
            "como foi o nosso dia",
            "a história completa",
            "tudo o que você precisa saber",
            "os melhores momentos do ano",
            "ninguém esperava por isso",
        ),
        _words("""
            desenho trailer cena ator filme
            motor carro moto roda oficina
            canção show violão batida melodia
            cachorrinho gatinho papagaio cavalo aquário
            futebol gol maratona boxe treinador
            ilha festa aeroporto montanha pousada
            fase chefão partida console missão
            família café diário aniversário apartamento
            piada pegadinha esquete paródia risada
            famosos espetáculo mágico prêmio dança
            eleição ministro congresso greve economia
            receita maquiagem penteado móveis costura
            gramática álgebra história lição prova
            robô telescópio bateria computador laboratório
            voluntários caridade floresta refugiados doação
        """),
    ),
    Language(
        "de",
        0.07,
        -0.2,
        ("{a} und {b}: {hook}", "{hook} | {a} mit {b}", "warum {a} und {b} zusammen gehören – {hook}"),
        "In diesem Video geht es um {a}, {b} und {c}.\nAbonniert den Kanal und schreibt uns eure Meinung!",
        (
            "ein unfertiger Versuch",
            "ein paar kurze Notizen",
            "noch ein kleiner Ausschnitt",
            "so war unser Tag",
            "die ganze Geschichte",
            "alles, was ihr wissen müsst",
            "die schönsten Momente des Jahres",
            "damit hat niemand gerechnet",
        ),
        _words("""
            Zeichentrick Vorschau Szene Schauspieler Kino
            Motor Auto Motorrad Reifen Werkstatt
            Lied Konzert Gitarre Takt Melodie
            Welpe Kätzchen Papagei Pferd Aquarium
            Fußball Tor Marathon Boxen Trainer
            Insel Fest Flughafen Gebirge Herberge
            Spielstufe Endgegner Rekordlauf Konsole Auftrag
            Familie Frühstück Tagebuch Geburtstag Wohnung
            Witz Streich Sketch Parodie Gelächter
            Prominente Auftritt Zauberer Preis Tanz
            Wahl Minister Bundestag Streik Wirtschaft
            Rezept Schminke Frisur Möbel Nähen
            Grammatik Algebra Geschichte Unterricht Prüfung
            Roboter Fernrohr Akku Rechner Labor
            Ehrenamt Hilfswerk Wald Flüchtlinge Spende
        """),
    ),
    Language(
        "ru",
        0.08,
        0.0,
        ("{a} и {b}: {hook}", "{hook} | {a} и {b}", "почему все говорят про {a} и {b} – {hook}"),
        "В этом видео мы говорим про {a}, {b} и {c}.\nПодписывайтесь на канал и пишите своё мнение!",
        (
            "незаконченная проба",
            "несколько коротких заметок",
            "ещё один отрывок",
            "как прошёл наш день",
            "вся история целиком",
            "всё, что нужно знать",
            "лучшие моменты года",
            "этого никто не ожидал",
        ),
        _words("""
            мультфильм трейлер сцена актёр кино
            двигатель машина мотоцикл колесо гараж
            песня концерт гитара ритм мелодия
            щенок котёнок попугай лошадь аквариум
            футбол гол марафон бокс тренер
            остров праздник аэропорт гора гостиница
            уровень босс прохождение приставка задание
            семья завтрак дневник рождение квартира
            шутка розыгрыш сценка пародия смех
            звёзды шоу фокусник премия танец
            выборы министр парламент забастовка экономика
            рецепт макияж причёска мебель шитьё
            грамматика алгебра история урок экзамен
            робот телескоп батарея ноутбук лаборатория
            волонтёры помощь лес беженцы пожертвование
        """),
    ),
    Language(
        "ar",
        0.07,
        -0.1,
        ("{a} و {b}: {hook}", "{hook} | {a} مع {b}", "كل شيء عن {a} و {b} في هذا الفيديو، {hook}"),
        "في هذا الفيديو نتحدث عن {a} و {b} و {c}.\nاشترك في القناة واكتب رأيك في التعليقات!",
        (
            "تجربة غير مكتملة",
            "ملاحظات سريعة",
            "مقطع قصير آخر",
            "كيف قضينا اليوم",
            "القصة كاملة",
            "كل ما تحتاج معرفته",
            "أجمل لحظات السنة",
            "لم يتوقع أحد هذا",
        ),
        _words("""
            كرتون إعلان مشهد ممثل سينما
            محرك سيارة دراجة عجلة ورشة
            أغنية حفلة قيثارة إيقاع لحن
            جرو قطة ببغاء حصان حوض
            كرة هدف ماراثون ملاكمة مدرب
            جزيرة مهرجان مطار جبل فندق
            مرحلة زعيم تحدي جهاز مهمة
            عائلة فطور يوميات ميلاد شقة
            نكتة مقلب تمثيلية سخرية ضحك
            مشاهير عرض ساحر جائزة رقص
            انتخابات وزير برلمان إضراب اقتصاد
            وصفة مكياج تسريحة أثاث خياطة
            نحو جبر تاريخ درس امتحان
            روبوت تلسكوب بطارية حاسوب مختبر
            متطوعون خيرية غابة لاجئون تبرع
        """),
    ),
    Language(
        "hi",
        0.09,
        0.4,
        ("{a} और {b}: {hook}", "{hook} | {a} के साथ {b}", "आज हम {a} और {b} के बारे में बात करेंगे – {hook}"),
        "इस वीडियो में हम {a}, {b} और {c} के बारे में बात करते हैं।\nचैनल को सब्सक्राइब करें और अपनी राय लिखें!",
        (
            "एक अधूरा परीक्षण",
            "कुछ छोटी बातें",
            "एक और छोटा वीडियो",
            "हमारा दिन कैसा रहा",
            "पूरी कहानी",
            "सब कुछ जो जानना ज़रूरी है",
            "साल के सबसे अच्छे पल",
            "किसी ने सोचा नहीं था",
        ),
        _words("""
            कार्टून ट्रेलर दृश्य अभिनेता सिनेमा
            इंजन गाड़ी मोटरसाइकिल पहिया गैराज
            गाना संगीत गिटार ताल धुन
            पिल्ला बिल्ली तोता घोड़ा मछली
            क्रिकेट गोल मैराथन मुक्केबाज़ी कोच
            द्वीप मेला हवाईअड्डा पहाड़ होटल
            खेल बॉस चुनौती कंसोल मिशन
            परिवार नाश्ता डायरी जन्मदिन घर
            चुटकुला मज़ाक नाटक नकल हँसी
            सितारे तमाशा जादूगर पुरस्कार नृत्य
            चुनाव मंत्री संसद हड़ताल अर्थव्यवस्था
            व्यंजन शृंगार बाल फर्नीचर सिलाई
            व्याकरण बीजगणित इतिहास पाठ परीक्षा
            रोबोट दूरबीन बैटरी कंप्यूटर प्रयोगशाला
            स्वयंसेवक दान जंगल शरणार्थी सहायता
        """),
    ),
    Language(
        "ja",
        0.07,
        0.0,
        ("{a}と{b}について【{hook}】", "【{hook}】{a}と{b}の話です", "{a}で{b}をやってみた {hook}"),
        "今回の動画では{a}と{b}と{c}について話します。\nチャンネル登録とコメントをお願いします!",
        (
            "未完成のテスト",
            "ちょっとしたメモ",
            "短い動画",
            "今日の過ごし方",
            "話の全部",
            "知っておくべきこと",
            "今年の名場面",
            "誰も予想しなかった",
        ),
        _words("""
            アニメ 予告編 名場面 俳優 映画
            エンジン 自動車 バイク タイヤ 車庫
            歌 コンサート ギター リズム 音楽
            子犬 子猫 オウム 馬 水族館
            サッカー ゴール マラソン ボクシング 監督
            島 お祭り 空港 山 旅館
            ステージ ボス 攻略 ゲーム機 任務
            家族 朝ごはん 日記 誕生日 部屋
            冗談 ドッキリ コント ものまね 笑い
            芸能人 番組 手品師 受賞 ダンス
            選挙 大臣 国会 ストライキ 経済
            料理 化粧 髪型 家具 裁縫
            文法 数学 歴史 授業 試験
            ロボット 望遠鏡 電池 パソコン 研究室
            ボランティア 募金 森林 難民 寄付
        """),
    ),
    Language(
        "ko",
        0.06,
        0.0,
        ("{a} 그리고 {b}: {hook}", "{hook} | {a} 하고 {b} 이야기", "우리가 좋아하는 {a} 그리고 {b}, {hook}"),
        "이번 영상에서는 {a}, {b} 그리고 {c} 이야기를 합니다.\n구독하고 댓글로 의견을 남겨 주세요!",
        (
            "미완성 시험 영상",
            "짧은 메모",
            "짧은 영상 하나 더",
            "우리가 보낸 하루",
            "전체 이야기",
            "꼭 알아야 할 모든 것",
            "올해 최고의 순간",
            "아무도 예상하지 못했다",
        ),
        _words("""
            만화 예고편 장면 배우 영화
            엔진 자동차 오토바이 바퀴 차고
            노래 공연 기타 리듬 멜로디
            강아지 고양이 앵무새 말 수족관
            축구 골 마라톤 권투 감독
            섬 축제 공항 산 여관
            레벨 보스 공략 게임기 임무
            가족 아침밥 일기 생일 아파트
            농담 몰래카메라 콩트 패러디 웃음
            연예인 무대 마술사 시상식 춤
            선거 장관 국회 파업 경제
            요리법 화장 머리 가구 바느질
            문법 대수학 역사 수업 시험
            로봇 망원경 배터리 노트북 실험실
            봉사자 자선 숲 난민 기부
        """),
    ),
    Language(
        "zh",
        0.06,
        -0.3,
        ("{a}和{b}:{hook}", "{hook}|我们的{a}和{b}", "关于{a}与{b}的视频,{hook}"),
        "在这个视频里我们谈谈{a}、{b}和{c}。\n请订阅频道,并在评论里告诉我们你的看法!",
        (
            "未完成的测试",
            "简短的笔记",
            "又一个小片段",
            "我们的一天",
            "完整的故事",
            "你需要知道的一切",
            "今年最精彩的时刻",
            "谁也没有想到",
        ),
        _words("""
            动画 预告片 场景 演员 电影
            发动机 汽车 摩托车 车轮 车库
            歌曲 音乐会 吉他 节奏 旋律
            小狗 小猫 鹦鹉 骏马 水族馆
            足球 进球 马拉松 拳击 教练
            海岛 节日 机场 高山 旅馆
            关卡 首领 通关 游戏机 任务
            家庭 早餐 日记 生日 公寓
            笑话 恶作剧 小品 模仿 笑声
            明星 表演 魔术师 颁奖 舞蹈
            选举 部长 议会 罢工 经济
            菜谱 化妆 发型 家具 缝纫
            语法 代数 历史 课程 考试
            机器人 望远镜 电池 电脑 实验室
            志愿者 慈善 森林 难民 捐款
        """),
    ),
)
